#!/usr/bin/env python3
"""An example SoC with the accelerator: Verilog, register map and headers.

Without --board: a SoC for simulation, with no CPU; whoever simulates it is the master of its bus.

    host (AXI4-Lite pins) --+--> SoC bus --+--> main_ram (on chip, or LiteDRAM with a model of its chip)
    Frugal's memory port ---+              +--> Frugal's registers, CSRs

With --board NAME: the board's own SoC from litex-boards, and the accelerator in it.
"""
import argparse
import importlib
import os
import sys
from pathlib import Path

from migen import *

from litex.gen import *

from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.soc.integration import export
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import axi

sys.path.insert(0, str(Path(__file__).resolve().parent))
from frugal import FrugalError, add_frugal

# Simulation ---------------------------------------------------------------------------------------

HOST = [
    ("aw_valid", 1), ("aw_ready", 1), ("aw_addr", 32),
    ("w_valid",  1), ("w_ready",  1), ("w_data",  32),
    ("b_valid",  1), ("b_ready",  1), ("b_resp",   2),
    ("ar_valid", 1), ("ar_ready", 1), ("ar_addr", 32),
    ("r_valid",  1), ("r_ready",  1), ("r_data",  32), ("r_resp", 2),
]


class SimulationPlatform(GenericPlatform):
    def __init__(self):
        GenericPlatform.__init__(self, "simulation", [
            ("clock", 0, Pins(1)),
            ("reset", 0, Pins(1)),
            ("irq",   0, Pins(1)),
            ("host",  0, *[Subsignal(name, Pins(width)) for name, width in HOST]),
        ], name="simulation")


class SimulationCRG(LiteXModule):
    def __init__(self, platform):
        self.cd_sys = ClockDomain()
        self.comb += [
            self.cd_sys.clk.eq(platform.request("clock")),
            self.cd_sys.rst.eq(platform.request("reset")),
        ]


class SimulationSoC(SoCCore):
    mem_map = {"csr": 0xf000_0000, "main_ram": 0x4000_0000, "frugal": 0x8000_0000}

    def __init__(self, bus_standard="wishbone", bus_width=32, ram_bytes=1 << 18, memory="bus", dram="sdr", **options):
        platform = SimulationPlatform()
        self.crg = SimulationCRG(platform)
        SoCCore.__init__(self, platform, clk_freq=100_000_000,
            ident = "", cpu_type=None, with_uart=False, with_timer=False,
            bus_standard             = bus_standard,
            bus_data_width           = bus_width,
            integrated_rom_size      = 0,
            integrated_sram_size     = 0,
            integrated_main_ram_size = 0 if memory == "dram" else ram_bytes,
        )
        if memory == "dram":
            self.add_dram(dram)

        pads = platform.request("host")
        host = axi.AXILiteInterface(data_width=32, address_width=32)
        self.comb += host.w.strb.eq(0b1111)
        for name, _ in HOST:
            channel, signal = name.split("_")
            pin, wire = getattr(pads, name), getattr(getattr(host, channel), signal)
            from_host = signal != "ready" and channel in ("aw", "w", "ar") or signal == "ready" and channel in ("b", "r")
            self.comb += wire.eq(pin) if from_host else pin.eq(wire)
        self.bus.add_master(name="host", master=host)

        add_frugal(self, memory=memory, **options)
        self.comb += platform.request("irq").eq(self.frugal.ev.irq)

    def add_dram(self, dram):
        from litedram import modules
        from litedram.phy.model import SDRAMPHYModel
        # LiteDRAM's own words have 32 bits with the one and 128 with the other.
        chip, rate, data_bits = {"sdr": ("MT48LC16M16", "1:1", 32), "ddr3": ("MT41K64M16", "1:4", 16)}[dram]
        module = getattr(modules, chip)(self.sys_clk_freq, rate)
        self.sdrphy = SDRAMPHYModel(module, data_width=data_bits, clk_freq=self.sys_clk_freq)
        # No cache between the host and the chip: the accelerator would not see what is in it.
        self.add_sdram("sdram", phy=self.sdrphy, module=module, l2_cache_size=0)


def write_simulation(soc, folder):
    """Writes soc.v, the map of all registers and the headers."""
    folder.mkdir(parents=True, exist_ok=True)
    soc.finalize()
    verilog = soc.platform.get_verilog(soc, name="soc")
    # Contents of memories go to the current folder.
    here = Path.cwd()
    os.chdir(folder)
    verilog.write("soc.v")
    os.chdir(here)
    (folder/"csr.json").write_text(export.get_csr_json(soc.csr_regions, soc.constants, soc.mem_regions))
    (folder/"soc.h").write_text(export.get_soc_header(soc.constants))
    (folder/"mem.h").write_text(export.get_mem_header(soc.mem_regions))

# Boards -------------------------------------------------------------------------------------------

def board_soc(name, cpu, options):
    try:
        target = importlib.import_module(f"litex_boards.targets.{name}")
    except ModuleNotFoundError as error:
        raise FrugalError(f"there is no board '{name}' ({error}): install litex-boards, and name one of its targets, such as "
                          "radiona_ulx3s") from None
    # The BIOS, where there is a CPU.
    soc = target.BaseSoC(cpu_type=None if cpu == "None" else cpu, integrated_rom_size=0 if cpu == "None" else 1 << 17)
    add_frugal(soc, **options)
    return soc

# Command line -------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder for what is made")
    parser.add_argument("--config", default="nano", help="nano, base, large, huge, or a .json file (default: nano)")
    parser.add_argument("--bus-bits", type=int, help="data bits of the accelerator's memory port: 64 or 128")
    parser.add_argument("--verilog", help="the accelerator's Verilog, made before; without it `frugal verilog` is called")
    parser.add_argument("--frugal", help="the frugal binary (or FRUGAL; otherwise from PATH, or built by cargo)")
    parser.add_argument("--memory", default="bus", choices=["bus", "dram"], help="memory over the SoC's bus, or a LiteDRAM port")
    parser.add_argument("--board", help="a target of litex-boards, such as radiona_ulx3s")
    parser.add_argument("--cpu-type", default="None", help="the board's CPU (default: None)")
    parser.add_argument("--build", action="store_true", help="run the board's toolchain, too")
    parser.add_argument("--bus-standard", default="wishbone", choices=["wishbone", "axi-lite", "axi"], help="simulation only")
    parser.add_argument("--bus-width", type=int, default=32, help="data bits of the SoC's bus; simulation only")
    parser.add_argument("--dram", default="sdr", choices=["sdr", "ddr3"], help="kind of the DRAM; simulation only")
    parser.add_argument("--ram-bytes", type=int, default=1 << 18, help="bytes of main_ram on the chip; simulation only")
    args = parser.parse_args()
    options = dict(config=args.config, bus_bits=args.bus_bits, verilog=args.verilog, frugal=args.frugal, memory=args.memory,
                   folder=args.out)
    try:
        if args.board:
            soc = board_soc(args.board, args.cpu_type, options)
            Builder(soc, output_dir=str(args.out), compile_software=False, csr_json=str(args.out/"csr.json")).build(run=args.build)
        else:
            soc = SimulationSoC(args.bus_standard, args.bus_width, args.ram_bytes, dram=args.dram, **options)
            write_simulation(soc, args.out)
    except FrugalError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
