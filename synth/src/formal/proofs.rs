//! The proofs.

use super::{Fault, Proof, Reach, Solver};
use frugal_hdl::burst_generator::BurstGenerator;
use frugal_hdl::command_buffer::CommandBuffer;
use frugal_hdl::emit::{emit, EmitError, VerilogFile};
use frugal_hdl::leaves::Fifo;
use frugal_hdl::link::{PacketReceiver, PacketTransmitter, UartReceiver, UartTransmitter};
use frugal_hdl::load_engine::LoadEngine;
use frugal_hdl::memory_switch::MemorySwitch;
use frugal_hdl::read_port::ReadPort;
use frugal_hdl::store_engine::StoreEngine;
use frugal_hdl::token_counters::TokenCounters;
use frugal_isa::command::{FieldSpec, HEADER};
use frugal_isa::Config;
use rust_hdl_core::prelude::Block;

/// The block's Verilog, with a top module of this name.
fn verilog(block: &dyn Block, name: &str) -> Result<VerilogFile, EmitError> {
    emit(block, name, "A block to be proved.")
}

/// Two blocks in one text.
fn pair(
    first: Result<VerilogFile, EmitError>,
    second: Result<VerilogFile, EmitError>,
) -> Result<VerilogFile, EmitError> {
    let (mut first, second) = (first?, second?);
    // What both have within is there once.
    let known: Vec<_> = first.modules.iter().map(|module| format!("\nmodule {} ", module.name)).collect();
    for module in second.text.split_inclusive("\nendmodule\n") {
        if !known.iter().any(|head| module.contains(head.as_str())) {
            first.text += module;
        }
    }
    first.modules.extend(second.modules);
    Ok(first)
}

fn uart<const BIT: usize>() -> Result<VerilogFile, EmitError> {
    pair(
        verilog(&UartTransmitter::new(BIT), "uart_transmitter"),
        verilog(&UartReceiver::new(BIT), "uart_receiver"),
    )
}

fn nano() -> Config {
    Config::preset("nano").expect("a preset")
}

macro_rules! harness {
    ($name:literal) => {
        ($name, include_str!(concat!("../../formal/", $name)))
    };
}

const FIFO: Proof = Proof {
    name: "fifo-4",
    property: "A queue never overflows or underflows, counts right, and gives every entry back \
                   unchanged and in order.",
    block: || verilog(&Fifo::new(4, 2), "fifo"),
    harness: harness!("fifo.v"),
    defines: &[("DEPTH", 4), ("POINTER_BITS", 2)],
    reach: Reach::Induction(2),
    solver: Solver::Z3,
    cover_depth: 12,
    faults: &[
        Fault {
            module: "fifo",
            text: "write_ready = !count[2]",
            replacement: "write_ready = 1'b1",
            depth: 8,
        },
        Fault { module: "fifo", text: "if (put) begin", replacement: "if (write_valid) begin", depth: 8 },
    ],
    is_slow: false,
};

const BURSTS: Proof = Proof {
    name: "burst-generator-8",
    property: "Bursts have 1 to 64 beats, do not cross 4 KiB, follow one another without gap and \
                   add up to the transfer, stay until they are taken, and end.",
    block: || verilog(&BurstGenerator::new(8), "burst_generator"),
    harness: harness!("burst_generator.v"),
    defines: &[("BUS_BYTES", 8)],
    reach: Reach::Induction(2),
    solver: Solver::Z3,
    cover_depth: 20,
    faults: &[
        Fault {
            module: "burst_generator",
            text: "beats_in_page = 24'd512",
            replacement: "beats_in_page = 24'd513",
            depth: 8,
        },
        Fault {
            module: "burst_generator",
            text: "max_beats = 24'd64",
            replacement: "max_beats = 24'd65",
            depth: 8,
        },
        Fault {
            module: "burst_generator",
            text: "refused_d = start & refuse",
            replacement: "refused_d = 1'b0",
            depth: 8,
        },
        Fault {
            module: "burst_generator",
            text: "if (last_row_left) running_d = 1'b0;",
            replacement: "running_d = 1'b0;",
            depth: 8,
        },
    ],
    is_slow: false,
};

const LOADS: Proof = Proof {
    name: "load-engine",
    property: "Read addresses stay until they are taken; transfers are as the burst generator's \
                   proof assumes; no queue overflows; each command finishes once.",
    block: || verilog(&LoadEngine::new(&nano()), "load_engine"),
    harness: harness!("load_engine.v"),
    defines: &[("FEW", 0), ("ANY", 1)],
    reach: Reach::Induction(2),
    solver: Solver::Z3,
    cover_depth: 16,
    faults: &[
        Fault {
            module: "load_engine",
            text: "take = !setup & bursts_done & descriptors_write_ready",
            replacement: "take = !setup & descriptors_write_ready",
            depth: 10,
        },
        Fault {
            module: "load_engine",
            text: "setup & (bad_alignment | bad_layout | empty_row)",
            replacement: "setup & (bad_alignment | bad_layout)",
            depth: 8,
        },
    ],
    is_slow: false,
};

const STORES: Proof = Proof {
    name: "store-engine",
    property: "Write addresses and data stay until they are taken; each burst has the beats its \
                   address said, after it; no queue overflows; each command finishes once.",
    block: || verilog(&StoreEngine::new(&nano()), "store_engine"),
    harness: harness!("store_engine.v"),
    defines: &[("FEW", 0), ("ANY", 1)],
    reach: Reach::Induction(2),
    solver: Solver::Z3,
    cover_depth: 20,
    faults: &[
        Fault {
            module: "store_engine",
            text: "take = !running & !setup",
            replacement: "take = !setup",
            depth: 7,
        },
        Fault {
            module: "store_engine",
            text: "beat_valid = out_full & lengths_read_valid",
            replacement: "beat_valid = out_full",
            depth: 11,
        },
    ],
    is_slow: false,
};

/// All of them.
pub const PROOFS: &[Proof] = &[
    FIFO,
    Proof {
        name: "fifo-5",
        block: || verilog(&Fifo::new(5, 2), "fifo"),
        defines: &[("DEPTH", 5), ("POINTER_BITS", 3), ("ABOVE_4", 1)],
        cover_depth: 14,
        faults: &[Fault {
            module: "fifo",
            text: "read_pointer == 3'd4 ? 3'd0 : ",
            replacement: "",
            depth: 10,
        }],
        ..FIFO
    },
    Proof {
        name: "fifo-8",
        block: || verilog(&Fifo::new(8, 2), "fifo"),
        defines: &[("DEPTH", 8), ("POINTER_BITS", 3), ("ABOVE_4", 1), ("ABOVE_5", 1)],
        cover_depth: 20,
        faults: &[Fault {
            module: "fifo",
            text: "{write_data_1, write_data_0}",
            replacement: "{write_data_1, write_data_1}",
            depth: 8,
        }],
        ..FIFO
    },
    Proof {
        name: "token-counters",
        property: "A token sent is there until it is taken, once; a counter never overflows; a token is \
                   available in the cycle after the one in which it is sent.",
        block: || verilog(&TokenCounters::default(), "token_counters"),
        harness: harness!("token_counters.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 24,
        faults: &[
            Fault {
                module: "token_counters",
                text: "if (taken_6 & !sent_6)",
                replacement: "if (taken_6)",
                depth: 8,
            },
            Fault {
                module: "token_counters",
                text: "some_9 = filled_9 & !single_9",
                replacement: "some_9 = filled_9",
                depth: 8,
            },
        ],
        is_slow: false,
    },
    BURSTS,
    Proof {
        name: "burst-generator-16",
        block: || verilog(&BurstGenerator::new(16), "burst_generator"),
        defines: &[("BUS_BYTES", 16)],
        faults: &[Fault {
            module: "burst_generator",
            text: "beat_shift = 5'd4",
            replacement: "beat_shift = 5'd3",
            depth: 8,
        }],
        ..BURSTS
    },
    Proof {
        name: "command-buffer",
        property: "A command starts exactly when its engine takes one and its tokens are there, takes \
                   those tokens, and starts once; the queue does not stop.",
        // It may start before it is whole: its last field is in the sixth of eight beats.
        block: || {
            let last_field = FieldSpec { word: 11, ..HEADER[0] };
            verilog(&CommandBuffer::new(2, 2, &[last_field], false), "command_buffer")
        },
        harness: harness!("command_buffer.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 12,
        faults: &[
            Fault {
                module: "command_buffer",
                text: "complete & (starting | !usable)",
                replacement: "complete",
                depth: 14,
            },
            Fault {
                module: "command_buffer",
                text: "assign missing = wait_ & ~available",
                replacement: "assign missing = 4'd0",
                depth: 12,
            },
            Fault {
                module: "command_buffer",
                text: "assign follows = usable & take",
                replacement: "assign follows = take",
                depth: 12,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "read-port",
        property: "An offered address stays; every request is offered once, as it was asked; a fetch \
                   waits for 32 beats of loads and one load at most; beats reach whom they belong to, \
                   in order.",
        block: || verilog(&ReadPort::new(2), "read_port"),
        harness: harness!("read_port.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 12,
        faults: &[
            Fault {
                module: "read_port",
                text: "free = requests_write_ready",
                replacement: "free = 1'b1",
                depth: 8,
            },
            Fault {
                module: "read_port",
                text: "data_read_ready = load_beat_ready | !is_load",
                replacement: "data_read_ready = load_beat_ready",
                depth: 8,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "memory-switch",
        property: "What the memory is offered stays; answers reach whose burst it is; no counter \
                   overflows; the link waits for one more burst at most.",
        block: || verilog(&MemorySwitch::default(), "memory_switch"),
        harness: harness!("memory_switch.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 12,
        faults: &[
            Fault {
                module: "memory_switch",
                text: "(!l_ar_valid | read_offered)",
                replacement: "!l_ar_valid",
                depth: 8,
            },
            Fault {
                module: "memory_switch",
                text: "assign a_w_may = |data",
                replacement: "assign a_w_may = 1'b1",
                depth: 8,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "uart-states",
        property: "Receiver and transmitter have no other states than those of ten bits, and are ready \
                   again in time, on any line.",
        block: uart::<4>,
        harness: harness!("uart_states.v"),
        defines: &[("BIT", 4)],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 50,
        faults: &[Fault {
            module: "uart_transmitter",
            text: "whole_bit = 16'd3",
            replacement: "whole_bit = 16'd4",
            depth: 60,
        }],
        is_slow: false,
    },
    Proof {
        name: "uart-bytes",
        property: "Every byte sent is received once, unchanged and in time, the next one right behind \
                   it.",
        block: uart::<4>,
        harness: harness!("uart.v"),
        defines: &[("BIT", 4), ("QUIET", 0)],
        reach: Reach::Bounded(90),
        solver: Solver::MiniSat,
        cover_depth: 90,
        faults: &[
            Fault {
                module: "uart_receiver",
                text: "if (level) shift_d = shifted | 8'd128",
                replacement: "shift_d = shifted | 8'd128",
                depth: 60,
            },
            Fault {
                module: "uart_receiver",
                text: "whole_bit = 16'd3",
                replacement: "whole_bit = 16'd4",
                depth: 60,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "uart-recovers",
        property: "After ten quiet bits, whatever came before, the next byte sent is received once, \
                   unchanged and in time.",
        block: uart::<4>,
        harness: harness!("uart.v"),
        defines: &[("BIT", 4), ("QUIET", 44)],
        reach: Reach::AnyState(92),
        solver: Solver::MiniSat,
        cover_depth: 92,
        faults: &[Fault { module: "uart_receiver", text: "index_d = 4'd0;\n", replacement: "", depth: 92 }],
        is_slow: false,
    },
    Proof {
        name: "packet-receiver",
        property: "The buffer is never overrun nor changed while a packet waits; what is too short, too \
                   long, broken or wrongly escaped does not arrive.",
        block: || verilog(&PacketReceiver::default(), "packet_receiver"),
        harness: harness!("packet_receiver.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 20,
        faults: &[
            Fault {
                module: "packet_receiver",
                text: "write_address = index >> 2",
                replacement: "write_address = index << 7",
                depth: 8,
            },
            Fault {
                module: "packet_receiver",
                text: "(index >= fewest) & !bad",
                replacement: "(index >= fewest)",
                depth: 16,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "packet-transmitter",
        property: "END stands at both ends of a packet only, with four bytes a word and four of the \
                   checksum between; it does not stop on the way.",
        block: || verilog(&PacketTransmitter::default(), "packet_transmitter"),
        harness: harness!("packet_transmitter.v"),
        defines: &[],
        reach: Reach::Induction(2),
        solver: Solver::Z3,
        cover_depth: 24,
        faults: &[
            Fault {
                module: "packet_transmitter",
                text: "byte_ = escaped_end;",
                replacement: "byte_ = end_;",
                depth: 20,
            },
            Fault {
                module: "packet_transmitter",
                text: "bytes_d = word;",
                replacement: "bytes_d = word; last_d = word_last;",
                depth: 22,
            },
        ],
        is_slow: false,
    },
    Proof {
        name: "packets",
        property: "Whatever garbage came before, the next packet already arrives, with all of its bytes \
                   and no others.",
        block: || {
            pair(
                verilog(&PacketTransmitter::default(), "packet_transmitter"),
                verilog(&PacketReceiver::default(), "packet_receiver"),
            )
        },
        harness: harness!("packets.v"),
        defines: &[("WORDS", 2)],
        reach: Reach::AnyState(36),
        solver: Solver::MiniSat,
        cover_depth: 24,
        faults: &[
            Fault {
                module: "packet_receiver",
                text: "crc_d = all_ones",
                replacement: "crc_d = 32'd0",
                depth: 24,
            },
            Fault {
                module: "packet_transmitter",
                text: "bytes_d = ~crc",
                replacement: "bytes_d = crc",
                depth: 24,
            },
        ],
        is_slow: true,
    },
    LOADS,
    STORES,
    Proof {
        name: "load-ends",
        property: "No deadlock: a load of up to two rows of four beats finishes within 50 cycles, with \
                   all of its beats and no others.",
        defines: &[("FEW", 1), ("BOUNDED", 1), ("IN_TIME", 50)],
        reach: Reach::Bounded(54),
        solver: Solver::MiniSat,
        cover_depth: 24,
        faults: &[
            Fault {
                module: "load_engine",
                text: "beat_ready = !beat_full | beat_taken",
                replacement: "beat_ready = !beat_full & !beat_taken & setup",
                depth: 54,
            },
            Fault {
                module: "load_engine",
                text: "ends = row_ends & last_row",
                replacement: "ends = row_ends",
                depth: 46,
            },
        ],
        is_slow: true,
        ..LOADS
    },
    Proof {
        name: "store-ends",
        property: "No deadlock: a store of up to two rows of four beats finishes within 50 cycles, all \
                   of its beats sent and its bursts answered.",
        defines: &[("FEW", 1), ("BOUNDED", 1), ("IN_TIME", 50)],
        reach: Reach::Bounded(54),
        solver: Solver::MiniSat,
        cover_depth: 30,
        faults: &[
            Fault {
                module: "store_engine",
                text: "quiet = !reading & !arrived & !head & !out_full & bursts_done",
                replacement: "quiet = !reading & !arrived & !head & !out_full & bursts_done & half_full",
                depth: 54,
            },
            Fault {
                module: "store_engine",
                text: "finishing = completions_read_valid & (completions_read_data_0[15:0] == answers_now)",
                replacement: "finishing = completions_read_valid",
                depth: 46,
            },
        ],
        is_slow: true,
        ..STORES
    },
];
