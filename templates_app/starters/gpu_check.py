"""Lists the GPUs this task was given and tries them; a host without any is a normal answer."""

import importlib
import os
import shutil
import subprocess
import sys


def given() -> None:
    """Say which GPUs the queue booked for this task."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        print("CUDA_VISIBLE_DEVICES is not set: this script does not run under the queue")
    elif visible:
        print(f"this task was given: {visible}")
    else:
        print("this task was given no GPU; ask for one with 'GPUs: 1' when submitting")


def by_driver() -> None:
    """List the GPUs that the driver knows."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        print("no NVIDIA driver on this host (nvidia-smi not found)")
        return
    query = "--query-gpu=index,uuid,name,driver_version,utilization.gpu,memory.used,memory.total"
    answer = subprocess.run(
        [tool, query, "--format=csv"], capture_output=True, text=True, timeout=30
    )
    print(answer.stdout or answer.stderr)


def by_torch() -> None:
    """Multiply two matrices on each GPU, if PyTorch is installed."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        print("PyTorch is not installed for this python; nothing to compute with")
        return
    print(f"PyTorch {torch.__version__}, GPUs visible to it: {torch.cuda.device_count()}")
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        left = torch.rand(2048, 2048, device=device)
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        left @ left
        start.record()
        for _ in range(10):
            left @ left
        end.record()
        torch.cuda.synchronize(device)
        teraflops = 10 * 2 * 2048**3 / (start.elapsed_time(end) / 1000) / 1e12
        print(f"GPU {index} {torch.cuda.get_device_name(index)}: {teraflops:.1f} TFLOP/s, works")


if __name__ == "__main__":
    print(f"python {sys.version.split()[0]} at {sys.executable}")
    given()
    by_driver()
    by_torch()
