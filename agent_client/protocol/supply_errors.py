"""The codes of plug-ins, their packages and samples, and of upgrades. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent_client.protocol.explanation import Explanation

SUPPLY_CODES: Mapping[str, Explanation] = MappingProxyType(
    {
        "bad_time": Explanation(
            "The moment of the sample is too old or in the future.",
            "Look at the host's clock; samples older than a day are not taken.",
            "样本的时间过旧或在未来。",
            "检查主机的时钟；超过一天的样本不会被接收。",
        ),
        "not_wanted": Explanation(
            "The plug-in is not active on this host.",
            "Nothing to do if it was just deactivated; else activate it on the host's page.",
            "该插件在此主机上未启用。",
            "如果刚刚停用则无需处理；否则请在主机页面启用它。",
        ),
        "package_refused": Explanation(
            "The package of a plug-in may not be installed on this host.",
            "Sign it with a key that the host's policy lists, and give it a higher version.",
            "该插件的软件包不允许安装在此主机上。",
            "使用主机策略中列出的密钥签名，并给它更高的版本号。",
        ),
        "plugin_state_full": Explanation(
            "The plug-in keeps more on the host's disk than it may, and is stopped.",
            "Remove files from the directory that the detail names; it goes on within a minute.",
            "该插件在主机磁盘上保留的数据超出限制，已停止。",
            "从详细信息所指的目录中删除文件；一分钟内会自动继续。",
        ),
        "plugin_unknown": Explanation(
            "This host has no plug-in of that name.",
            "Correct the name, update the agent, or give the package that brings the plug-in.",
            "该主机没有这个名称的插件。",
            "更正名称、更新代理，或提供包含该插件的软件包。",
        ),
        "upgrade_not_built": Explanation(
            "The new version of the agent could not be made ready on the host.",
            "The detail says what failed: free space, or let the host reach its package index.",
            "新版本的代理无法在主机上准备就绪。",
            "详细信息说明了失败原因：请释放空间，或让主机能访问其软件包索引。",
        ),
        "upgrade_not_fetched": Explanation(
            "The host could not fetch the new version of the agent.",
            "Look at the connection between host and server, then ask for the upgrade again.",
            "主机无法获取新版本的代理。",
            "检查主机与服务器之间的连接，然后再次请求升级。",
        ),
        "upgrade_not_genuine": Explanation(
            "What the host fetched is not the version that was named.",
            "Ask again; if it stays so, something between host and server changes the bytes.",
            "主机获取的内容不是所指定的版本。",
            "请重试；如果仍然如此，说明主机与服务器之间有环节改动了数据。",
        ),
        "upgrade_taken_back": Explanation(
            "The new version of the agent failed its trial; the former one runs again.",
            "The detail and the host's log say why; repair the version, then ask again.",
            "新版本的代理未通过试运行；已恢复先前的版本。",
            "详细信息和主机日志说明了原因；修复该版本后再次请求。",
        ),
    }
)
