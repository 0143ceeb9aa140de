"""The Frugal accelerator in a LiteX SoC.

    from frugal import add_frugal
    add_frugal(soc, config="nano")

                  +----------------------- Frugal ------------------------+
    SoC bus ----->| registers (AXI4-Lite, 4 KiB) --> accelerator (Verilog) |
                  |                                    |            |     |
    CPU's IRQ <---| ev.finished <--- end of program ---+            |     |
                  |                                                 v     |
    SoC bus,   <--| memory (AXI4) <--- order of bursts <--- AXI4 master   |
    or LiteDRAM   +--------------------------------------------------------+

The Verilog is made by `frugal verilog`, or is a file that was made before. docs/litex.md says how to use all this.
"""
from pathlib import Path

from migen import *

from litex.gen import *

from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream, wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceProcess

from frugal_registers import CONSTANTS, REGISTERS
from frugal_verilog import BUS_BITS, FrugalError, Shape, make_verilog

# Bytes of the register window: 12 address bits.
REGISTER_BYTES = 1 << 12
# Most beats of a burst of the accelerator, and of any burst of AXI4.
MOST_BEATS     = 64
MOST_AXI_BEATS = 256

# Module -------------------------------------------------------------------------------------------

class Frugal(LiteXModule):
    """The accelerator with LiteX's interfaces.

    registers : AXI4-Lite slave. Registers are read and written as whole words.
    memory    : AXI4 master. All bursts have ID 0, so every interconnect answers them in order.
    ev        : `finished` rises when a program ends, well or not.
    observe   : see the port of that name in the Verilog.

    unanswered: how many read bursts, and how many write bursts, may wait for their answers.
    """
    def __init__(self, platform, config="base", bus_bits=None, verilog=None, frugal=None, folder="build/frugal", unanswered=1):
        path  = Path(verilog) if verilog else make_verilog(folder, config, bus_bits, frugal)
        self.shape = shape = Shape(path)
        if bus_bits is not None and bus_bits != shape.bus_bits:
            raise FrugalError(f"{path} has a memory bus of {shape.bus_bits} bits, and {bus_bits} are asked for")
        platform.add_source(str(path.resolve()))

        self.registers = registers = axi.AXILiteInterface(data_width=32, address_width=32)
        self.memory    = memory    = axi.AXIInterface(data_width=shape.bus_bits, address_width=32, id_width=1)
        self.observe   = Signal(32)

        # Interrupt --------------------------------------------------------------------------------
        # The pin stays high until the next program starts: its edge is the event.
        self.ev          = EventManager()
        self.ev.finished = EventSourceProcess(edge="rising", description="A program has ended, well or not.")
        self.ev.finalize()

        # Reads ------------------------------------------------------------------------------------
        # The accelerator tells command fetches and loads apart by the ID. Interconnects of LiteX lose IDs where widths are
        # converted; so the IDs wait here, in the order of the bursts.
        ar = stream.Endpoint([("id", 1), ("addr", 32), ("len", 8)])
        r  = stream.Endpoint([("id", 1), ("data", shape.bus_bits), ("resp", 2)])
        self.reads = reads = stream.SyncFIFO([("id", 1)], unanswered)
        self.comb += [
            memory.ar.valid.eq(ar.valid & reads.sink.ready),
            ar.ready.eq(memory.ar.ready & reads.sink.ready),
            reads.sink.valid.eq(ar.valid & memory.ar.ready),
            reads.sink.id.eq(ar.id),
            memory.ar.addr.eq(ar.addr),
            memory.ar.len.eq(ar.len),
            r.valid.eq(memory.r.valid & reads.source.valid),
            memory.r.ready.eq(r.ready & reads.source.valid),
            r.last.eq(memory.r.last),
            r.data.eq(memory.r.data),
            r.resp.eq(memory.r.resp),
            r.id.eq(reads.source.id),
            reads.source.ready.eq(r.valid & r.ready & r.last),
        ]

        # Writes -----------------------------------------------------------------------------------
        # LiteX's decoders send data where the address of the present burst points: data waits for its address.
        aw = stream.Endpoint([("addr", 32), ("len", 8)])
        w  = stream.Endpoint([("data", shape.bus_bits), ("strb", shape.bus_bits//8)])
        without_answer = Signal(max=unanswered + 1)
        without_data   = Signal(max=unanswered + 1)
        may_write      = Signal()
        has_address    = Signal()
        taken, given, answered = Signal(), Signal(), Signal()
        self.comb += [
            may_write.eq(without_answer != unanswered),
            memory.aw.valid.eq(aw.valid & may_write),
            aw.ready.eq(memory.aw.ready & may_write),
            memory.aw.addr.eq(aw.addr),
            memory.aw.len.eq(aw.len),
            has_address.eq((without_data != 0) | memory.aw.valid),
            memory.w.valid.eq(w.valid & has_address),
            w.ready.eq(memory.w.ready & has_address),
            memory.w.last.eq(w.last),
            memory.w.data.eq(w.data),
            memory.w.strb.eq(w.strb),
            taken.eq(memory.aw.valid & memory.aw.ready),
            given.eq(memory.w.valid & memory.w.ready & memory.w.last),
            answered.eq(memory.b.valid & memory.b.ready),
        ]
        self.sync += [
            without_answer.eq(without_answer + taken - answered),
            without_data.eq(without_data + taken - given),
        ]

        # What every burst has in common.
        for channel in (memory.ar, memory.aw):
            self.comb += [
                channel.burst.eq(axi.BURST_INCR),
                channel.size.eq(log2_int(shape.bus_bits//8)),
                # Normal memory, not cached.
                channel.cache.eq(0b0011),
            ]

        # Accelerator ------------------------------------------------------------------------------
        irq = Signal()
        self.comb += self.ev.finished.trigger.eq(irq)
        self.specials += Instance("accelerator", name="accelerator",
            i_clock = ClockSignal("sys"),
            i_reset = ResetSignal("sys"),
            o_irq     = irq,
            o_observe = self.observe,

            # AXI4-Lite: registers.
            i_lite_aw_valid   = registers.aw.valid,
            o_lite_aw_ready   = registers.aw.ready,
            i_lite_aw_address = registers.aw.addr[:log2_int(REGISTER_BYTES)],
            i_lite_w_valid    = registers.w.valid,
            o_lite_w_ready    = registers.w.ready,
            i_lite_w_data     = registers.w.data,
            o_lite_b_valid    = registers.b.valid,
            i_lite_b_ready    = registers.b.ready,
            o_lite_b_response = registers.b.resp,
            i_lite_ar_valid   = registers.ar.valid,
            o_lite_ar_ready   = registers.ar.ready,
            i_lite_ar_address = registers.ar.addr[:log2_int(REGISTER_BYTES)],
            o_lite_r_valid    = registers.r.valid,
            i_lite_r_ready    = registers.r.ready,
            o_lite_r_data     = registers.r.data,
            o_lite_r_response = registers.r.resp,

            # AXI4: memory.
            o_ar_valid   = ar.valid,
            i_ar_ready   = ar.ready,
            o_ar_address = ar.addr,
            o_ar_length  = ar.len,
            o_ar_id      = ar.id,
            i_r_valid    = r.valid,
            o_r_ready    = r.ready,
            i_r_data     = r.data,
            i_r_response = r.resp,
            i_r_last     = r.last,
            i_r_id       = r.id,
            o_aw_valid   = aw.valid,
            i_aw_ready   = aw.ready,
            o_aw_address = aw.addr,
            o_aw_length  = aw.len,
            o_w_valid    = w.valid,
            i_w_ready    = w.ready,
            o_w_data     = w.data,
            o_w_strobe   = w.strb,
            o_w_last     = w.last,
            i_b_valid    = memory.b.valid,
            o_b_ready    = memory.b.ready,
            i_b_response = memory.b.resp,
        )

# SoC ----------------------------------------------------------------------------------------------

def _free_region(soc):
    """A place for the registers. LiteX places its CSRs last, and does not look for them here."""
    csr = SoCRegion(origin=soc.mem_map["csr"], size=2**(soc.csr.address_width + 2), cached=False)
    soc.bus.regions["csr"] = csr
    region = soc.bus.alloc_region("frugal", REGISTER_BYTES, cached=False)
    del soc.bus.regions["csr"]
    return region


def _connect_to_bus(soc, frugal, name):
    """The accelerator as a master of the CPU's coherent DMA bus if there is one, or else of the SoC's bus."""
    bus      = getattr(soc, "dma_bus", soc.bus)
    bus_bits = frugal.shape.bus_bits
    if bus.data_width >= bus_bits:
        master = frugal.memory
        if bus.data_width > bus_bits:
            # LiteX's converter from a narrow AXI bus to a wide one is written for bursts of whole wide words.
            master = wishbone.Interface(data_width=bus_bits, address_width=32, addressing="word")
            frugal.to_wishbone = axi.AXI2Wishbone(frugal.memory, master)
    else:
        beats = MOST_BEATS*bus_bits//bus.data_width
        if beats > MOST_AXI_BEATS:
            raise FrugalError(f"the SoC's bus has {bus.data_width} bits: a burst of the accelerator with its {bus_bits} would be "
                              f"{beats} beats there, and AXI4 allows {MOST_AXI_BEATS}. Use a wider bus, or a narrower accelerator")
        master = frugal.memory
    bus.add_master(name=name, master=master)


def _connect_to_dram(soc, frugal):
    """The accelerator on a LiteDRAM port of its own: bursts at the DRAM's rate, past the SoC's bus and its caches."""
    from litedram.frontend.axi import LiteDRAMAXI2Native
    words = soc.sdram.crossbar.controller.data_width
    if words > frugal.shape.bus_bits:
        # A program hangs behind LiteDRAM's converter from narrow ports to wider words.
        fits = f"bus_bits={words}, or " if words in BUS_BITS else ""
        raise FrugalError(f"LiteDRAM's words have {words} bits here, and the accelerator's memory port {frugal.shape.bus_bits}: a port of "
                          f"its own must not be narrower. Use {fits}memory='bus'")
    port = soc.sdram.crossbar.get_port(data_width=frugal.shape.bus_bits)
    frugal.to_dram = LiteDRAMAXI2Native(frugal.memory, port,
        w_buffer_depth = MOST_BEATS,
        r_buffer_depth = MOST_BEATS,
        base_address   = soc.bus.regions["main_ram"].origin,
    )


def add_frugal(soc, name="frugal", memory="bus", origin=None, **options):
    """Puts an accelerator into `soc`, and returns it. Call it when the SoC has its CPU and its memory.

    memory : "bus"  - a master of the SoC's bus (of the CPU's DMA bus if there is one);
             "dram" - a LiteDRAM port of its own, which is much faster. Caches in front of the DRAM do not see it.
    origin : address of the registers; by default LiteX finds a place.
    options: of Frugal: config, bus_bits, verilog, frugal, folder.

    Software finds <NAME>_BASE, <NAME>_INTERRUPT, the sizes and all registers' offsets in LiteX's generated headers.
    """
    if memory not in ("bus", "dram"):
        raise FrugalError(f"memory is 'bus' or 'dram', not '{memory}'")
    if memory == "dram" and not (hasattr(soc, "sdram") and "main_ram" in soc.bus.regions):
        raise FrugalError("memory='dram' needs a SoC with LiteDRAM: call add_frugal after add_sdram, or use memory='bus'")
    # On a bus one burst after the other: LiteX's AXI decoder sends a burst to the slave of the one before while that one is
    # under way, and its bridges take one at a time anyway.
    module = Frugal(soc.platform, unanswered={"bus": 1, "dram": 16}[memory], **options)
    soc.add_module(name=name, module=module)

    origin = soc.mem_map.get(name, origin)
    region = _free_region(soc) if origin is None else SoCRegion(origin=origin, size=REGISTER_BYTES, cached=False)
    soc.bus.add_slave(name=name, slave=module.registers, region=region)
    if memory == "dram":
        _connect_to_dram(soc, module)
    else:
        _connect_to_bus(soc, module, name)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)

    shape = module.shape
    soc.add_constant(f"{name}_CONFIG", shape.config)
    for size in ("rows", "cols", "lanes", "bus_bits"):
        soc.add_constant(f"{name}_{size}", getattr(shape, size))
    for register, offset in REGISTERS.items():
        soc.add_constant(f"{name}_REGISTER_{register}", offset)
    for constant, value in CONSTANTS.items():
        soc.add_constant(f"{name}_{constant}", value)
    return module
