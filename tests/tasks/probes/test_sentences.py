"""What hosts say in English, said in the reader's language."""

from __future__ import annotations

import pytest
from django.utils import translation

from agent_client.protocol import probe_kinds
from tasks.probes.sentences import said


@pytest.fixture
def chinese():
    """Read in Chinese."""
    with translation.override("zh-hans"):
        yield


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Connection refused", "连接被拒绝"),
        ("no answer in time (connect)", "未在时限内应答（连接）"),
        ("exit code 3: text", "退出码 3：text"),
        ("status 503, expected 200-299: no, at most", "状态码 503，预期 200-299：no, at most"),
        (
            "took 300 ms, more than 250 ms; a certificate ends in 3 days",
            "耗时 300 ms，超过 250 ms；有证书在 3 天后到期",
        ),
        ("3 % of 4 packets were lost", "4 个包丢失 3 %"),
        ("took 300 ms, more than 250 ms; 何か", "耗时 300 ms，超过 250 ms；何か"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
            "self-signed certificate (_ssl.c:1006)",
            "证书校验失败：自签名证书（_ssl.c:1006）",
        ),
        ("what no version of ours says; nor this", "what no version of ours says; nor this"),
        ("100 %(of)s %s %", "100 %(of)s %s %"),
        ("", ""),
    ],
)
def test_sentence_of_a_host_is_said_in_chinese(chinese, sentence, words) -> None:
    assert said(sentence) == words


@pytest.mark.parametrize(
    ("kind", "target", "config", "words"),
    [
        ("tcp", "a.test", {}, "不是主机和端口（端口必须是 1 到 65535 的数字）"),
        ("http", "ftp://a.test", {}, "（必须以 http:// 或 https:// 开头）"),
        (
            "http",
            "http://a.test/",
            {"methd": "GET"},
            "methd 不是 http 拨测的设置项：是否想写 method？",
        ),
        ("http", "http://a.test/", {"max_redirects": 99}, "必须是整数，在 0 到 20 之间。"),
        ("http", "http://a.test/", {"username": "x" * 300}, "必须是文本，长度最多 256。"),
        ("http", "http://a.test/", {"expected_status": ["9"]}, "2xx：9 不是状态码。"),
    ],
)
def test_problem_of_a_setting_is_said_in_chinese(chinese, kind, target, config, words) -> None:
    lines = [line for lines in probe_kinds.check(kind, target, config).values() for line in lines]
    assert words in "".join(map(said, lines))


@pytest.mark.parametrize("sentence", ["Connection refused", "exit code 3: no", ""])
def test_sentence_stays_as_it_is_in_english(sentence) -> None:
    assert said(sentence) == sentence


def test_long_text_of_a_stranger_is_left_alone(chinese) -> None:
    long = "the body is not JSON: " + "a, at most " * 1_000
    assert said(long) == long
