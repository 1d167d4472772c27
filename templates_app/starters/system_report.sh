#!/usr/bin/env bash
# What this host is and how it is doing. Needs nothing but a shell.

section() { printf '\n\033[1;36m== %s\033[0m\n' "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

section "Task"
echo "task ${DIALER_TASK_ID:-none}, priority ${DIALER_PRIORITY:-none}, directory $(pwd)"
echo "user $(id -un), shell ${BASH_VERSION:-unknown}, $(date -u '+%Y-%m-%d %H:%M:%S UTC')"

section "System"
uname -srm
[ -r /etc/os-release ] && . /etc/os-release && echo "${PRETTY_NAME:-}"
have uptime && uptime

section "Processor"
if [ -r /proc/cpuinfo ]; then
    grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ *//'
fi
echo "cores this task may use: $(nproc 2>/dev/null || echo unknown)"
[ -r /proc/loadavg ] && echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"

section "Memory"
if have free; then free -h; elif [ -r /proc/meminfo ]; then head -3 /proc/meminfo; fi

section "Disks"
df -h -x tmpfs -x devtmpfs -x overlay 2>/dev/null | head -20 || df -h | head -20

section "GPUs"
if have nvidia-smi; then
    nvidia-smi --query-gpu=index,name,utilization.gpu,memory.used,memory.total --format=csv
else
    echo "no nvidia-smi on this host"
fi

section "Busiest processes"
ps -eo pid,user,pcpu,pmem,etime,comm --sort=-pcpu 2>/dev/null | head -8

printf '\n\033[1;32mdone\033[0m\n'
