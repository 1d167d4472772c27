"""The error codes of file transfers, a part of the catalogue in `error_codes`. Pure data."""

from __future__ import annotations

from agent_client.protocol.explanation import Explanation

TRANSFER_CODES: dict[str, Explanation] = {
    "archive_refused": Explanation(
        "The archive has something in it that is not unpacked here.",
        "Pack plain files and directories with relative names only, and not too many.",
        "压缩包中含有不予解包的内容。",
        "只打包普通文件和目录，使用相对名称，且数量不要过多。",
    ),
    "digest_mismatch": Explanation(
        "The bytes that arrived are not those that were sent.",
        "Send them again; if it happens often, look at what stands in between.",
        "收到的字节与发送的不一致。",
        "重新发送；若经常发生，请检查中间的网络设备。",
    ),
    "file_changed": Explanation(
        "The file was changed while it was read.",
        "Send it again when nothing writes to it.",
        "文件在读取过程中被修改。",
        "在没有程序写入时重新发送。",
    ),
    "file_exists": Explanation(
        "There is something under this name on the host already.",
        "Choose another name, or ask for it to be overwritten.",
        "主机上已有同名文件。",
        "换一个名称，或选择覆盖。",
    ),
    "file_in_use": Explanation(
        "A task that has not ended needs the file.",
        "Wait for the task, or cancel it first.",
        "尚未结束的任务需要此文件。",
        "等待任务结束，或先取消它。",
    ),
    "invalid_token": Explanation(
        "The token is not valid, or belongs to an offer that is void.",
        "Use the token of the current offer; for an agent, enrol the host again.",
        "令牌无效，或属于已失效的下发。",
        "使用当前下发的令牌；若是 Agent，请重新注册该主机。",
    ),
    "offset_gap": Explanation(
        "Bytes of the file are missing before this offset.",
        "Send from the offset that the answer names as next.",
        "该偏移之前缺少文件字节。",
        "从应答中 next 给出的偏移开始发送。",
    ),
    "path_unusable": Explanation(
        "The path cannot be used on this host.",
        "Give a full path below an allowed directory, without links and without `..`.",
        "该路径在此主机上无法使用。",
        "给出允许目录下的完整路径，不含链接和 `..`。",
    ),
}
