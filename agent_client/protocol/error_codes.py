"""One catalogue of error codes for agent, server, API and pages: what each means, what to do.

A code is stable: it may be added, never renamed, for it is stored and searched for. A rule
test keeps the catalogue and the code together: every code that is raised is here, and every
code here is raised. Pure data, standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent_client.protocol.explanation import Explanation
from agent_client.protocol.message_errors import MESSAGE_CODES
from agent_client.protocol.supply_errors import SUPPLY_CODES
from agent_client.protocol.transfer_errors import TRANSFER_CODES

__all__ = ["CODES", "Explanation"]


CODES: Mapping[str, Explanation] = MappingProxyType(
    {
        **TRANSFER_CODES,
        **SUPPLY_CODES,
        **MESSAGE_CODES,
        "agent_mismatch": Explanation(
            "The credential belongs to another agent.",
            "Use the credential of the agent that is named, or name the one it belongs to.",
            "凭证属于另一个代理。",
            "使用所指代理的凭证，或改为凭证所属的代理。",
        ),
        "agent_not_found": Explanation(
            "There is no such agent in this tenant.",
            "Look up its id on the agents page; a revoked agent cannot be named.",
            "该租户中没有这个代理。",
            "在代理页面查找其 id；已吊销的代理不能被指定。",
        ),
        "already_revoked": Explanation(
            "The agent or the token was revoked before.",
            "Enrol the host again, or make another token, if it is to come back.",
            "该代理或令牌此前已被吊销。",
            "如需恢复，请重新注册该主机，或新建一个令牌。",
        ),
        "already_running": Explanation(
            "Another agent uses the same state directory.",
            "Stop it first, or give this one its own --state-dir.",
            "另一个代理正在使用同一状态目录。",
            "先停止它，或为此代理指定自己的 --state-dir。",
        ),
        "certificate_refused": Explanation(
            "The server shows another certificate than the pinned one.",
            "If it was renewed, give the new fingerprint; else somebody stands in between.",
            "服务器出示的证书与固定的证书不一致。",
            "如果证书已更新，请提供新的指纹；否则中间可能有人拦截。",
        ),
        "config_invalid": Explanation(
            "A setting has a value that cannot be used.",
            "Correct the named setting; `python -m agent_client check-config` shows all of them.",
            "某个配置项的值无法使用。",
            "修正所指出的配置项；`python -m agent_client check-config` 会列出全部配置。",
        ),
        "config_unreadable": Explanation(
            "The configuration file cannot be read.",
            "Check that the file exists, is readable by this user and is valid YAML or JSON.",
            "无法读取配置文件。",
            "检查文件是否存在、当前用户是否可读、是否为有效的 YAML 或 JSON。",
        ),
        "conflict": Explanation(
            "The object is in a state that does not allow it, or somebody was first.",
            "Read it again and decide anew.",
            "对象当前的状态不允许此操作，或已有人先行修改。",
            "重新读取后再决定。",
        ),
        "credential_refused": Explanation(
            "The server does not accept the credential.",
            "It was revoked or belongs to another server: enrol this host again.",
            "服务器不接受该凭证。",
            "凭证已吊销或属于另一台服务器：请重新注册该主机。",
        ),
        "disk_full": Explanation(
            "Too little free space for another task.",
            "Free space on the file system of the state or data directory.",
            "剩余空间不足，无法再接收任务。",
            "清理状态目录或数据目录所在的文件系统。",
        ),
        "enrollment_refused": Explanation(
            "The server does not accept the enrolment token.",
            "It may be used, expired or mistyped: create a new one with `manage.py enroll`.",
            "服务器不接受注册令牌。",
            "令牌可能已使用、已过期或有误：用 `manage.py enroll` 新建一个。",
        ),
        "error": Explanation(
            "The request cannot be carried out.",
            "The detail says why.",
            "请求无法执行。",
            "详细信息会说明原因。",
        ),
        "expired_enrolment_token": Explanation(
            "The enrolment token has expired.",
            "Create a new one with `manage.py enroll` or on the agents page.",
            "注册令牌已过期。",
            "用 `manage.py enroll` 或在代理页面新建一个。",
        ),
        "forbidden": Explanation(
            "The role of the caller does not allow it.",
            "Ask an administrator of the tenant.",
            "调用者的角色不允许此操作。",
            "请联系该租户的管理员。",
        ),
        "gpu_unavailable": Explanation(
            "A GPU of the offer is missing or has too little free memory.",
            "See the host's page for what occupies it.",
            "所需的某块 GPU 不存在或空闲显存不足。",
            "在主机页面查看是什么占用了它。",
        ),
        "idempotency_conflict": Explanation(
            "The Idempotency-Key was used with another body.",
            "Use a new key for a new request.",
            "该 Idempotency-Key 已用于不同的内容。",
            "新的请求请使用新的键。",
        ),
        "instance_conflict": Explanation(
            "Another running copy uses this agent's credential.",
            "Give the copy a state directory of its own and enrol it by itself.",
            "另一个正在运行的副本在使用此代理的凭证。",
            "为副本指定自己的状态目录并单独注册。",
        ),
        "internal": Explanation(
            "A condition was met that is not known.",
            "Report it with the log lines before it.",
            "遇到了未知的情况。",
            "请连同之前的日志一起反馈。",
        ),
        "invalid": Explanation(
            "Some fields are not valid.",
            "Each field that is named says what it takes.",
            "部分字段无效。",
            "每个被指出的字段都会说明其要求。",
        ),
        "invalid_enrolment_token": Explanation(
            "The enrolment token is not known.",
            "Check that it was copied whole, or create a new one.",
            "未知的注册令牌。",
            "检查是否完整复制，或新建一个。",
        ),
        "last_administrator": Explanation(
            "The last administrator of a tenant cannot be removed.",
            "Make somebody else an administrator first.",
            "不能移除租户的最后一位管理员。",
            "先将其他人设为管理员。",
        ),
        "log_gap": Explanation(
            "Bytes of the log are missing before this offset.",
            "Send from the offset that the answer names.",
            "该偏移之前缺少日志字节。",
            "从应答中给出的偏移开始发送。",
        ),
        "malformed": Explanation(
            "The message is not of this protocol.",
            "Check the format against docs/protocol.md.",
            "消息不符合本协议。",
            "对照 docs/protocol.md 检查格式。",
        ),
        "method_not_allowed": Explanation(
            "The address does not take this HTTP method.",
            "See the API's schema for what it takes.",
            "该地址不接受此 HTTP 方法。",
            "请查看 API 模式中允许的方法。",
        ),
        "name_taken": Explanation(
            "The name is used already.",
            "Choose another one.",
            "名称已被使用。",
            "请换一个名称。",
        ),
        "no_agent_online": Explanation(
            "No agent that could do it is online.",
            "Start one, or choose another agent.",
            "没有可执行此操作的在线代理。",
            "启动一个代理，或选择其他代理。",
        ),
        "no_free_cores": Explanation(
            "Too few CPU cores are free on this host.",
            "Wait, or ask for fewer cores.",
            "该主机空闲的 CPU 核不足。",
            "等待，或申请更少的核。",
        ),
        "no_free_slot": Explanation(
            "As many tasks run as this host allows at once.",
            "Wait, or raise task.max_concurrent_tasks.",
            "运行中的任务已达该主机允许的数量。",
            "等待，或调高 task.max_concurrent_tasks。",
        ),
        "not_enrolled": Explanation(
            "This host has no credential and no enrolment token.",
            "Run `manage.py enroll` on the server and start with --server URL --enroll TOKEN.",
            "该主机没有凭证，也没有注册令牌。",
            "在服务器上运行 `manage.py enroll`，再用 --server URL --enroll TOKEN 启动。",
        ),
        "not_for_browsers": Explanation(
            "Agents' sockets take no cookies and no origin.",
            "Use the browser's own socket.",
            "代理的套接字不接受 Cookie 和来源。",
            "请使用浏览器专用的套接字。",
        ),
        "not_found": Explanation(
            "There is no such object in this tenant.",
            "Check the id.",
            "该租户中没有此对象。",
            "请检查 id。",
        ),
        "not_push": Explanation(
            "Only probes of kind push are reported to.",
            "Use the address of a push probe.",
            "只有 push 类型的拨测可以上报。",
            "请使用 push 拨测的地址。",
        ),
        "not_runnable": Explanation(
            "The probe cannot be run by an agent now.",
            "Enable it, or choose a kind that agents run.",
            "该拨测目前不能由代理执行。",
            "启用它，或选择代理可以执行的类型。",
        ),
        "not_started": Explanation(
            "The task has not started, so it has no log.",
            "Send its log after `started`.",
            "任务尚未开始，没有日志。",
            "在 `started` 之后再发送日志。",
        ),
        "offer_invalid": Explanation(
            "The offer lacks something an agent needs.",
            "Bring agent and server to versions that belong together.",
            "下发的任务缺少代理需要的内容。",
            "让代理和服务器使用相互匹配的版本。",
        ),
        "policy_denied": Explanation(
            "The policy of this host does not allow what was asked.",
            "The host's owner can allow it in policy.yaml of the agent's state directory.",
            "该主机的策略不允许所请求的操作。",
            "主机所有者可以在代理状态目录的 policy.yaml 中允许它。",
        ),
        "policy_unusable": Explanation(
            "The host's policy file is missing, or cannot be trusted or read.",
            "Make it a plain file of root or of the agent's user that nobody else may write.",
            "主机的策略文件缺失、不可信或无法读取。",
            "它必须是属于 root 或代理用户、其他人不可写的普通文件。",
        ),
        "probe_quota": Explanation(
            "The tenant has as many probes as it may.",
            "Remove some, or raise DIALER_MAX_PROBES_PER_TENANT.",
            "该租户的拨测数量已达上限。",
            "删除一些，或调高 DIALER_MAX_PROBES_PER_TENANT。",
        ),
        "quota_exceeded": Explanation(
            "The tenant, or the person, has as much of it as there may be.",
            "The detail names the limit and the setting that raises it; else wait, or remove some.",
            "该租户或该用户的数量已达上限。",
            "详细信息会给出上限和可调高它的设置；也可以等待或删除一些。",
        ),
        "request_refused": Explanation(
            "The server refused the request.",
            "The detail names the field or the state that stands in the way.",
            "服务器拒绝了请求。",
            "详细信息会指出不符合的字段或状态。",
        ),
        "revoked": Explanation(
            "The agent's credential was revoked.",
            "Enrol the host again.",
            "该代理的凭证已被吊销。",
            "请重新注册该主机。",
        ),
        "revoked_enrolment_token": Explanation(
            "The enrolment token was revoked.",
            "Create a new one.",
            "注册令牌已被吊销。",
            "请新建一个。",
        ),
        "script_type_unsupported": Explanation(
            "This host has no interpreter for the script type.",
            "Install it, or name a host that has it.",
            "该主机没有此类脚本的解释器。",
            "安装解释器，或指定有解释器的主机。",
        ),
        "server_answer_invalid": Explanation(
            "The server's answer is not of this protocol.",
            "Check that the address is a Dialer server and that no proxy answers in its place.",
            "服务器的应答不符合本协议。",
            "检查该地址是否为 Dialer 服务器，且没有代理代为应答。",
        ),
        "server_busy": Explanation(
            "The server asks to come back later.",
            "Nothing to do: it is tried again with growing pauses.",
            "服务器要求稍后再来。",
            "无需处理：会以递增的间隔重试。",
        ),
        "server_unreachable": Explanation(
            "The server does not answer.",
            "Check its address, that it runs, and what stands between (proxy, firewall).",
            "服务器没有应答。",
            "检查地址、服务器是否运行，以及中间的代理和防火墙。",
        ),
        "set_aside": Explanation(
            "The message failed again and again and was set aside.",
            "Look into the server's log; the messages behind it go on.",
            "该消息多次失败，已被搁置。",
            "请查看服务器日志；其后的消息继续处理。",
        ),
        "slow_down": Explanation(
            "The server has too much to store just now.",
            "Keep the messages and come again: agents do so by themselves.",
            "服务器当前待存储的内容过多。",
            "保留消息稍后再发：代理会自动这样做。",
        ),
        "stale_offer": Explanation(
            "The message is about an offer that is void.",
            "Let the task go; it runs elsewhere or has ended.",
            "消息所指的下发已失效。",
            "放弃该任务；它在别处运行或已经结束。",
        ),
        "state_unusable": Explanation(
            "The state directory cannot be written.",
            "Check its owner, its permissions and the free space of its file system.",
            "状态目录不可写。",
            "检查其所有者、权限以及所在文件系统的剩余空间。",
        ),
        "task_ended": Explanation(
            "The task has ended; a final state never changes.",
            "Rerun it.",
            "任务已经结束；最终状态不会改变。",
            "请重新运行。",
        ),
        "task_started": Explanation(
            "The task has been given to a host; only name and priority may change.",
            "Cancel it and submit another one.",
            "任务已交给主机；只能修改名称和优先级。",
            "取消后重新提交。",
        ),
        "tenant_exists": Explanation(
            "There is a tenant of that name.",
            "Choose another name.",
            "已存在同名租户。",
            "请换一个名称。",
        ),
        "too_large": Explanation(
            "The input exceeds a limit.",
            "The detail names the limit.",
            "输入超出限制。",
            "详细信息会指出该限制。",
        ),
        "too_many": Explanation(
            "Too many tries, or too many of a kind.",
            "Wait as long as the answer says, or remove some.",
            "尝试次数或数量过多。",
            "按应答所述等待，或删除一些。",
        ),
        "unauthenticated": Explanation(
            "There is no credential, or one that is unknown, expired or revoked.",
            "Log in, or send a valid token.",
            "没有凭证，或凭证未知、已过期、已吊销。",
            "请登录，或发送有效的令牌。",
        ),
        "unavailable": Explanation(
            "The server cannot do it now.",
            "Try again later; `manage.py doctor` names what is wrong.",
            "服务器目前无法执行。",
            "请稍后重试；`manage.py doctor` 会指出问题所在。",
        ),
        "unknown_agent": Explanation(
            "The agent is not known any more.",
            "Enrol the host again.",
            "该代理已不存在。",
            "请重新注册该主机。",
        ),
        "unknown_type": Explanation(
            "The kind of message is not known.",
            "Bring agent and server to versions that belong together.",
            "未知的消息类型。",
            "让代理和服务器使用相互匹配的版本。",
        ),
        "unsupported_media_type": Explanation(
            "The content type is not taken here.",
            "Send the type that the detail names.",
            "此处不接受该内容类型。",
            "请发送详细信息中指出的类型。",
        ),
        "used_enrolment_token": Explanation(
            "The enrolment token was used as often as it may be.",
            "Create a new one.",
            "注册令牌的使用次数已用尽。",
            "请新建一个。",
        ),
        "user_exists": Explanation(
            "There is a user of that name.",
            "Choose another name.",
            "已存在同名用户。",
            "请换一个名称。",
        ),
    }
)
