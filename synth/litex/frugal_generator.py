#!/usr/bin/env python3
"""FuseSoC's generator: makes the accelerator's Verilog, and a core that holds it.

    frugal.core --parameters--> this script --frugal verilog--> accelerator.v, and <name>.core in the current folder

Called by FuseSoC with a YAML file that holds the parameters; see `generators` in frugal.core.
"""
import shutil
import sys
from pathlib import Path

import yaml

from frugal_verilog import FrugalError, Shape, make_verilog

KNOWN = {"config", "bus_bits", "verilog", "frugal"}


def generate(call):
    options = call.get("parameters") or {}
    unknown = sorted(options.keys() - KNOWN)
    if unknown:
        raise FrugalError(f"the generator has no parameter {', '.join(unknown)}; it has {', '.join(sorted(KNOWN))}")
    root   = Path(call["files_root"])
    config = options.get("config", "base")
    if str(config).endswith(".json"):
        config = root/config
    if "verilog" in options:
        path = root/options["verilog"]
        Shape(path)
        if path.resolve() != Path("accelerator.v").resolve():
            shutil.copyfile(path, "accelerator.v")
    else:
        make_verilog(".", config, options.get("bus_bits"), options.get("frugal"))
    shape = Shape("accelerator.v")
    if options.get("bus_bits", shape.bus_bits) != shape.bus_bits:
        raise FrugalError(f"accelerator.v has a memory bus of {shape.bus_bits} bits, and {options['bus_bits']} are asked for")
    core = {
        "name": call["vlnv"],
        "filesets": {"rtl": {"files": ["accelerator.v"], "file_type": "verilogSource"}},
        "targets": {"default": {"filesets": ["rtl"]}},
    }
    Path(call["vlnv"].split(":")[2] + ".core").write_text("CAPI=2:\n" + yaml.safe_dump(core))


if __name__ == "__main__":
    try:
        generate(yaml.safe_load(Path(sys.argv[1]).read_text()))
    except FrugalError as error:
        sys.exit(f"error: {error}")
