//! The C++ between Rust and a Verilated model: four functions over an opaque pointer.
//!
//! ```c
//! void*    model_new(void);
//! uint64_t model_eval(void*, const uint32_t* in, uint32_t* out, uint32_t flags);  // answers the number of $error so far
//! int      model_trace(void*, const char* path);                                // 0: done, 1: built without tracing
//! void     model_destroy(void*);
//! ```
//! `in` and `out` hold the ports in declaration order, each in as many words as its width needs, low word first. Flag 1
//! settles combinational logic; flag 2 runs whole clock cycles, the number of them in bits 8 and up.
use std::fmt::Write;

use frugal_hdl::emit::{ModuleInfo, PortDirection};

use super::{CLOCK, FLAG_CYCLE};

/// How waveforms are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trace {
    /// Not at all: the fastest model.
    #[default]
    Off,
    Vcd,
    Fst,
}

/// The Verilator class's name.
pub(super) const PREFIX: &str = "Vmodel";

pub(super) fn words(width: usize) -> usize {
    width.div_ceil(32)
}

/// C++ source text for a model with these ports.
pub(super) fn source(top: &ModuleInfo, trace: Trace) -> String {
    let mut copy_in = String::new();
    let mut copy_out = String::new();
    let mut offsets = [0, 0];
    for port in &top.ports {
        let member = format!("m->{}", port.name.replace("__", "___05F"));
        let (side, buffer) = match port.direction {
            // Models have pins of chips around them apart, in and out; what is left of these is never driven from outside.
            PortDirection::InOut => continue,
            PortDirection::Input => (0, "in"),
            PortDirection::Output => (1, "out"),
        };
        let at = offsets[side];
        let count = words(port.width);
        offsets[side] += count;
        if port.name == CLOCK {
            continue;
        }
        let _ = match (port.direction, count) {
            (PortDirection::Input, 1) => writeln!(copy_in, "    {member} = {buffer}[{at}];"),
            (PortDirection::Input, 2) => {
                writeln!(copy_in, "    {member} = in[{at}] | static_cast<uint64_t>(in[{}]) << 32;", at + 1)
            }
            (PortDirection::Input, _) => {
                writeln!(copy_in, "    std::memcpy({member}.data(), in + {at}, {});", 4 * count)
            }
            (PortDirection::Output, 1) => writeln!(copy_out, "    {buffer}[{at}] = {member};"),
            (PortDirection::Output, 2) => writeln!(
                copy_out,
                "    out[{at}] = static_cast<uint32_t>({member});\n    out[{}] = static_cast<uint32_t>({member} >> 32);",
                at + 1
            ),
            (PortDirection::InOut, _) => Ok(()),
            (PortDirection::Output, _) => {
                writeln!(copy_out, "    std::memcpy(out + {at}, {member}.data(), {});", 4 * count)
            }
        };
    }
    let has_clock = top.ports.iter().any(|port| port.name == CLOCK);
    let cycle = if has_clock { CYCLE } else { "" };
    let (trace_include, trace_member, dump, open, close) = match trace {
        Trace::Off => ("", "", "", "    return 1;", ""),
        Trace::Vcd => {
            ("#include \"verilated_vcd_c.h\"", "VerilatedVcdC* trace = nullptr;", DUMP, OPEN, CLOSE)
        }
        Trace::Fst => {
            ("#include \"verilated_fst_c.h\"", "VerilatedFstC* trace = nullptr;", DUMP, OPEN, CLOSE)
        }
    };
    let open = open.replace("TRACE", if trace == Trace::Fst { "VerilatedFstC" } else { "VerilatedVcdC" });
    format!(
        r#"#include "{PREFIX}.h"
#include "verilated.h"
{trace_include}
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {{
struct Model {{
    VerilatedContext context;
    {PREFIX}* m = nullptr;
    uint64_t errors = 0;
    uint64_t time = 0;
    {trace_member}
}};

thread_local Model* running = nullptr;

inline void dump(Model* model) {{
    model->time += 5;
    {dump}
}}
}}

// What Verilog's $stop, $error and $finish do here: they are counted.
void vl_stop(const char*, int, const char*) {{ if (running) ++running->errors; }}
void vl_finish(const char*, int, const char*) {{}}
void vl_fatal(const char* file, int line, const char*, const char* message) {{
    std::fprintf(stderr, "%s:%d: %s\n", file, line, message);
    if (running) ++running->errors;
}}

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void* model_new() {{
    Model* model = new Model;
    running = model;
    const char* arguments[] = {{"model"}};
    model->context.commandArgs(1, arguments);
    model->context.traceEverOn(true);
    model->m = new {PREFIX}{{&model->context, "top"}};
    model->m->eval();
    return model;
}}

EXPORT uint64_t model_eval(void* handle, const uint32_t* in, uint32_t* out, uint32_t flags) {{
    Model* model = static_cast<Model*>(handle);
    {PREFIX}* m = model->m;
    (void)in;
    (void)out;
    running = model;
    Verilated::threadContextp(&model->context);
{copy_in}    if (flags & {FLAG_CYCLE}) {{
{cycle}    }} else {{
        m->eval();
{copy_out}    }}
    return model->errors;
}}

EXPORT int model_trace(void* handle, const char* path) {{
    Model* model = static_cast<Model*>(handle);
    (void)model;
    (void)path;
{open}
}}

EXPORT void model_destroy(void* handle) {{
    Model* model = static_cast<Model*>(handle);
    running = model;
{close}
    model->m->final();
    delete model->m;
    running = nullptr;
    delete model;
}}
"#,
        cycle = cycle.replace("COPY_OUT", &copy_out),
    )
}

/// Inputs and the rising edge in one evaluation: Verilator settles logic that depends on inputs first, then the edge.
const CYCLE: &str = "        for (uint32_t left = flags >> 8; left != 0; --left) {
            m->clock = 1;
            m->eval();
            if (left == 1) {
COPY_OUT            }
            dump(model);
            m->clock = 0;
            m->eval();
            dump(model);
        }
";

const DUMP: &str = "if (model->trace) { model->context.time(model->time); model->trace->dump(model->time); }";

const OPEN: &str = "    running = model;
    if (model->trace) { model->trace->close(); delete model->trace; model->trace = nullptr; }
    if (!path) return 0;
    model->trace = new TRACE;
    model->m->trace(model->trace, 99);
    model->trace->open(path);
    if (!model->trace->isOpen()) { delete model->trace; model->trace = nullptr; return 2; }
    model->trace->dump(model->time);
    return 0;";

const CLOSE: &str = "    if (model->trace) { model->trace->close(); delete model->trace; }";

/// `lz4.h` and `zlib.h` as far as Verilator's FST writer uses them, so that waveforms need no library of the system. The
/// writer keeps a block as it is when its compressed form is not smaller, so zlib's part only has to decline.
pub(super) const LZ4_HEADER: &str = r#"#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// A greedy LZ4 block: literals, then a match of at least four bytes found through a hash of the last positions.
static inline int LZ4_compress_default(const char* source, char* target, int size, int) {
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> last(1 << 14, -1);
    const auto length = [&](int rest) {
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = static_cast<uint8_t>(rest);
    };
    int anchor = 0;
    // The format wants the last match to start 12 bytes before the end and the last 5 bytes to be literals.
    for (int at = 0; at + 12 < size; ++at) {
        uint32_t word;
        std::memcpy(&word, in + at, 4);
        int& slot = last[word * 2654435761u >> 18];
        const int match = slot;
        slot = at;
        if (match < 0 || at - match > 65535 || std::memcmp(in + match, in + at, 4) != 0) continue;
        int matched = 4;
        while (at + matched < size - 5 && in[match + matched] == in[at + matched]) ++matched;
        const int literals = at - anchor;
        *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4 | (matched - 4 < 15 ? matched - 4 : 15));
        if (literals >= 15) length(literals - 15);
        std::memcpy(out, in + anchor, literals);
        out += literals;
        *out++ = static_cast<uint8_t>(at - match);
        *out++ = static_cast<uint8_t>((at - match) >> 8);
        if (matched - 4 >= 15) length(matched - 4 - 15);
        at += matched - 1;
        anchor = at + 1;
    }
    const int literals = size - anchor;
    *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4);
    if (literals >= 15) length(literals - 15);
    std::memcpy(out, in + anchor, literals);
    out += literals;
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
"#;

pub(super) const ZLIB_HEADER: &str = r#"#pragma once
#include <cstring>

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;
#define Z_OK 0

static inline uLong compressBound(uLong size) { return size; }

static inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    std::memcpy(target, source, size);
    *target_size = size;
    return Z_OK;
}
"#;
