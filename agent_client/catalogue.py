"""The message catalogue: every sentence of the agent's log in Chinese and in English.

A log call passes a `Line` (key and values); the log's formatter renders it in the
language of the log, so callers know no language. The Chinese texts of probe events are
fixed by the product's description, word for word. Values are rendered as given; escaping
is the formatter's work. Never raises for an unknown key or a missing value: a log line
must not end a task.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Language = Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One sentence: its level and its text per language, in str.format style."""

    level: int
    zh: str
    en: str


_D, _I, _W, _E = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        # Dial tests
        "probe_added": Entry(
            _I,
            "新增任务 task_id={task_id}, interval={interval}s, tenant={tenant}",
            "task added task_id={task_id}, interval={interval}s, tenant={tenant}",
        ),
        "probe_changed": Entry(
            _I,
            "修改任务 task_id={task_id}, 新间隔={interval}s",
            "task changed task_id={task_id}, new interval={interval}s",
        ),
        "probe_removed": Entry(_I, "删除任务 task_id={task_id}", "task removed task_id={task_id}"),
        "task_failed": Entry(
            _E,
            "任务执行失败 task_id={task_id}, error={error}",
            "task failed task_id={task_id}, error={error}",
        ),
        "thread_pool": Entry(
            _D,
            "当前线程池 active={active}, pending={pending}, completed={completed}",
            "thread pool active={active}, pending={pending}, completed={completed}",
        ),
        "pool_exceeded": Entry(
            _W,
            "任务数超过最大线程数 {max_workers}",
            "the tasks exceed the maximum of {max_workers} threads",
        ),
        "results_dropped": Entry(
            _W,
            "发件箱已满, 丢弃 {count} 条拨测结果",
            "the outbox was full, {count} probe results were dropped",
        ),
        "outbox_damaged": Entry(
            _E,
            "发件箱文件 {segment} 已损坏, 已隔离, 丢失 {count} 条拨测结果",
            "the outbox file {segment} is damaged and is set aside, {count} probe results are lost",
        ),
        "limits_adapted": Entry(
            _I,
            "限制已调整 factor={factor}, slots={slots}, cpu={cpu}%, load={load}",
            "limits adapted factor={factor}, slots={slots}, cpu={cpu}%, load={load}",
        ),
        # The agent's life
        "agent_starting": Entry(
            _I,
            "Agent 启动 version={version}, server={server}, state={state}",
            "agent starting version={version}, server={server}, state={state}",
        ),
        "reloaded": Entry(
            _I,
            "配置已重新加载 立即生效: {live}; 下次启动生效: {later}",
            "configuration reloaded, in effect: {live}; at the next start: {later}",
        ),
        "agent_stopped": Entry(_I, "Agent 已停止", "agent stopped"),
        "plain_http": Entry(
            _W,
            "到 {server} 的连接未加密, 凭证可能被窃听 (connection.allow_plain_http)",
            "the connection to {server} is not encrypted, its credential can be read on the way"
            " (connection.allow_plain_http)",
        ),
        "policy_doubt": Entry(
            _W,
            "主机策略: {detail} (处理办法: {remedy})",
            "the host's policy: {detail} (what to do: {remedy})",
        ),
        "setting_note": Entry(_W, "配置提示: {note}", "configuration: {note}"),
        "error": Entry(
            _E,
            "错误 {code}: {detail} (处理办法: {remedy})",
            "error {code}: {detail} (what to do: {remedy})",
        ),
        "registered": Entry(
            _I,
            "注册成功 agent_id={agent_id}, name={name}",
            "registered agent_id={agent_id}, name={name}",
        ),
        "connected": Entry(
            _I,
            "已连接服务端 server={server}, transport={transport}",
            "connected server={server}, transport={transport}",
        ),
        "disconnected": Entry(
            _W,
            "与服务端的连接断开 server={server}, error={error}",
            "connection lost server={server}, error={error}",
        ),
        "reconnecting": Entry(
            _I,
            "{seconds:.1f} 秒后重连 server={server}, attempt={attempt}",
            "reconnecting in {seconds:.1f} s server={server}, attempt={attempt}",
        ),
        # Script tasks
        "offer_accepted": Entry(
            _I,
            "接受任务 task_id={task_id}, offer={offer}",
            "task accepted task_id={task_id}, offer={offer}",
        ),
        "offer_refused": Entry(
            _W,
            "拒绝任务 task_id={task_id}, offer={offer}, code={code}",
            "task refused task_id={task_id}, offer={offer}, code={code}",
        ),
        "task_started": Entry(
            _I,
            "任务开始 task_id={task_id}, pid={pid}",
            "task started task_id={task_id}, pid={pid}",
        ),
        "task_finished": Entry(
            _I,
            "任务结束 task_id={task_id}, reason={reason}, exit_code={exit_code}",
            "task finished task_id={task_id}, reason={reason}, exit_code={exit_code}",
        ),
        "task_adopted": Entry(
            _I,
            "接管运行中的任务 task_id={task_id}, pid={pid}",
            "running task adopted task_id={task_id}, pid={pid}",
        ),
        "task_canceling": Entry(
            _I,
            "正在取消任务 task_id={task_id}, reason={reason}",
            "task being canceled task_id={task_id}, reason={reason}",
        ),
        "task_unkillable": Entry(
            _E,
            "任务进程无法结束 task_id={task_id}, processes={processes}",
            "processes of the task cannot be ended task_id={task_id}, processes={processes}",
        ),
        # Another version of the agent
        "upgrade_begun": Entry(_I, "开始升级到版本 {version}", "changing to version {version}"),
        "upgrade_failed": Entry(
            _E,
            "升级到版本 {version} 失败 {code}: {detail}",
            "the change to version {version} failed, {code}: {detail}",
        ),
        "upgrade_kept": Entry(
            _I, "服务器已接受新版本 {folder}", "the server welcomed the new version {folder}"
        ),
        "upgrade_taken_back": Entry(
            _E, "新版本已撤回: {detail}", "the new version is taken back: {detail}"
        ),
        "version_removed": Entry(_I, "已删除旧版本 {name}", "removed the old version {name}"),
        # The host and the log itself
        "gpu_absent": Entry(_I, "未检测到 GPU: {detail}", "no GPU here: {detail}"),
        "cgroup_absent": Entry(_I, "未使用 cgroup: {detail}", "no cgroup in use: {detail}"),
        "lines_dropped": Entry(
            _W,
            "日志队列已满, 丢弃 {count} 行",
            "the log queue was full, {count} lines were dropped",
        ),
        "console_full": Entry(
            _W,
            "此处不再写入更多行, 日志目录: {place}",
            "no further lines are written here; directory of the log: {place}",
        ),
        "log_elsewhere": Entry(
            _W,
            "日志目录 {wanted} 不可用 ({problem}), 改用 {used}",
            "the log directory {wanted} is unusable ({problem}); using {used}",
        ),
    }
)


class Line:
    """A log message by key and values; `str()` is English, `text(language)` either."""

    __slots__ = ("key", "values")

    def __init__(self, key: str, **values: object) -> None:
        """Keep the key of ENTRIES and the values of its text."""
        self.key = key
        self.values = values

    @property
    def level(self) -> int:
        """Return the entry's level, WARNING for an unknown key."""
        entry = ENTRIES.get(self.key)
        return entry.level if entry else logging.WARNING

    def text(self, language: Language) -> str:
        """Return the sentence in a language; a defect in it degrades to key and values."""
        entry = ENTRIES.get(self.key)
        if entry is not None:
            try:
                return (entry.zh if language == "zh" else entry.en).format(**self.values)
            except (KeyError, ValueError, IndexError, AttributeError, TypeError):
                pass
        return " ".join([self.key, *(f"{name}={value}" for name, value in self.values.items())])

    def __str__(self) -> str:
        """Return the English sentence."""
        return self.text("en")


def announce(logger: logging.Logger, key: str, **values: object) -> None:
    """Log the sentence of a key at the level the catalogue gives it."""
    line = Line(key, **values)
    logger.log(line.level, line)


def resolve_language(wanted: str, environ: Mapping[str, str]) -> Language:
    """Return zh or en: the configured one, or with `auto` what the locale says."""
    if wanted in ("zh", "en"):
        return "zh" if wanted == "zh" else "en"
    names = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    first = next((name for name in names if name), "")
    return "zh" if first.lower().startswith("zh") else "en"
