"""Makes the accelerator's Verilog with `frugal verilog`, and reads what is in it.

    configuration --frugal verilog--> accelerator.v --Shape--> sizes
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PRESETS  = ("nano", "base", "large", "huge")
BUS_BITS = (64, 128)


class FrugalError(Exception):
    """What is wrong, and what to do."""


def find_frugal(frugal=None):
    """The command line of `frugal`: as named, from $FRUGAL, from PATH, from this checkout's build, or built by cargo."""
    named = frugal or os.environ.get("FRUGAL")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FrugalError(f"'{named}' is no program that can be run: name the frugal binary (frugal=, --frugal or "
                              "FRUGAL), or give Verilog that was made before (verilog=, --verilog)")
        return [found]
    for place in (shutil.which("frugal"), CHECKOUT/"target/release/frugal"):
        if place and os.access(place, os.X_OK):
            return [str(place)]
    if shutil.which("cargo") and (CHECKOUT/"Cargo.toml").is_file():
        return ["cargo", "run", "--quiet", "--release", "--locked", "--manifest-path", str(CHECKOUT/"Cargo.toml"),
                "--package", "frugal-cli", "--bin", "frugal", "--"]
    raise FrugalError("neither 'frugal' nor cargo was found: build it (cargo build --release -p frugal-cli), name the binary "
                      "(frugal=, --frugal or FRUGAL), or give Verilog that was made before (verilog=, --verilog)")


def make_verilog(folder, config="base", bus_bits=None, frugal=None):
    """Calls `frugal verilog` and returns the path of the accelerator's Verilog."""
    config = str(config)
    if config.endswith(".json"):
        if not Path(config).is_file():
            raise FrugalError(f"there is no configuration file '{config}'")
    elif config not in PRESETS:
        raise FrugalError(f"there is no configuration '{config}': {', '.join(PRESETS)}, or a .json file with the fields of a "
                          "Config")
    if bus_bits is not None and bus_bits not in BUS_BITS:
        raise FrugalError(f"the accelerator's memory bus has 64 or 128 bits, not {bus_bits}")
    command = find_frugal(frugal) + ["verilog", "--config", config, "--out", str(folder)]
    if bus_bits is not None:
        command += ["--bus-bits", str(bus_bits)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise FrugalError(f"{command[0]} cannot be run: {error}") from None
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise FrugalError(f"frugal verilog failed: {said}")
    path = Path(folder)/"accelerator.v"
    if not path.is_file():
        raise FrugalError(f"{command[0]} wrote no {path}: it is not Frugal's command line")
    return path


class Shape:
    """What the head of the Verilog says: the configuration's name and sizes, and the bits of the memory bus."""
    def __init__(self, path):
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise FrugalError(f"the Verilog {path} cannot be read: {error}") from None
        head = re.search(r"configuration '(.*)': (\d+) x (\d+) multipliers, (\d+) output lanes, (\d+)-bit memory bus", text)
        data = re.search(r"input wire \[(\d+):0\] r_data\b", text)
        if head is None or data is None or not re.search(r"^module accelerator\b", text, re.MULTILINE):
            raise FrugalError(f"{path} is not the accelerator's Verilog: make it with frugal verilog --out DIR")
        self.config = head[1]
        self.rows, self.cols, self.lanes, self.bus_bits = (int(head[i]) for i in range(2, 6))
        if self.bus_bits != int(data[1]) + 1:
            raise FrugalError(f"{path} was changed: its head says {self.bus_bits} bits, its port r_data has {int(data[1]) + 1}")
