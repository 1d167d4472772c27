"""The error codes of messages that are not stored, a part of the catalogue in `error_codes`.

Pure data.
"""

from __future__ import annotations

from agent_client.protocol.explanation import Explanation

MESSAGE_CODES: dict[str, Explanation] = {
    "in_the_future": Explanation(
        "The result is from more than an hour later than now.",
        "Set the clock of the host; results that are taken then are stored again.",
        "拨测结果的时间比当前时间晚一小时以上。",
        "校准主机时钟；此后的结果会正常存储。",
    ),
    "invalid_message": Explanation(
        "A message, or a frame of the agent's socket, cannot be read.",
        "Bring agent and server to versions that belong together; no proxy may change frames.",
        "无法读取一条消息或代理套接字的一帧。",
        "让代理和服务器使用相互匹配的版本；检查是否有代理服务器改动了数据。",
    ),
    "no_outcome": Explanation(
        "The result says neither its outcome nor whether it is a success.",
        "Send `outcome`, or `success` as true or false.",
        "拨测结果既没有 outcome，也没有 success。",
        "发送 `outcome`，或将 `success` 设为 true 或 false。",
    ),
    "probe_not_assigned": Explanation(
        "The agent does not run this probe any more.",
        "Nothing to do: the agent drops the result and fetches its probes anew.",
        "该代理已不再执行此拨测。",
        "无需处理：代理会丢弃该结果并重新获取拨测列表。",
    ),
    "too_old": Explanation(
        "The result is older than results are kept.",
        "Set the clock of the host, or keep results longer (DIALER_RESULTS_KEPT_DAYS).",
        "拨测结果早于保留期限。",
        "校准主机时钟，或延长结果的保留时间（DIALER_RESULTS_KEPT_DAYS）。",
    ),
    "wrong_tenant": Explanation(
        "The result names another tenant than the agent's.",
        "Send the tenant_id that came with the probe.",
        "拨测结果所指的租户与代理所属租户不同。",
        "发送随拨测下发的 tenant_id。",
    ),
}
