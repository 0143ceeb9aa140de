//! A pair of registers that cuts a handshake in two.
use super::prelude::*;
use super::{inputs, outputs};

/// A queue of two rows of words, all outputs of which are registers: `read_data`, `read_valid` and `write_ready`. One row passes each cycle, a cycle
/// later; what comes while the reader does not take the row in front waits in the *spare* register.
///
/// Faster than a [`super::Fifo`] of two, whose `read_data` come out of a memory; dearer, with two flip-flops a bit.
#[derive(LogicBlock)]
pub struct SkidBuffer {
    pub clock: Signal<In, Clock>,
    /// Empties the buffer.
    pub reset: Signal<In, Bit>,
    // Write side.
    pub write_data: Vec<Signal<In, Bits<32>>>,
    pub write_valid: Signal<In, Bit>,
    pub write_ready: Signal<Out, Bit>,
    // Read side.
    pub read_data: Vec<Signal<Out, Bits<32>>>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    _words: usize,
    _head: Vec<u32>,
    _spare: Vec<u32>,
    _head_full: bool,
    _spare_full: bool,
}

impl SkidBuffer {
    /// # Panics
    /// If `words` is 0.
    pub fn new(words: usize) -> Self {
        assert!(words > 0, "a buffer without words");
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            write_data: inputs(words),
            write_valid: Signal::default(),
            write_ready: Signal::new_with_default(true),
            read_data: outputs(words),
            read_valid: Signal::default(),
            read_ready: Signal::default(),
            _words: words,
            _head: vec![0; words],
            _spare: vec![0; words],
            _head_full: false,
            _spare_full: false,
        }
    }
}

impl Logic for SkidBuffer {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let written: Vec<u32> = self.write_data.iter().map(|word| word.val().to_u32()).collect();
        let writes = self.write_valid.val();
        let spare_was_full = self._spare_full;
        if !self._head_full || self.read_ready.val() {
            self._head = if spare_was_full { self._spare.clone() } else { written.clone() };
            self._head_full = spare_was_full || writes;
            self._spare_full = false;
        } else if writes {
            self._spare_full = true;
        }
        if !spare_was_full {
            self._spare = written;
        }
        if self.reset.val() {
            (self._head_full, self._spare_full) = (false, false);
        }
        for (port, word) in self.read_data.iter_mut().zip(&self._head) {
            port.next = u64::from(*word).into();
        }
        self.read_valid.next = self._head_full;
        self.write_ready.next = !self._spare_full;
    }
    fn connect(&mut self) {
        self.write_ready.connect();
        self.read_data.iter_mut().for_each(|word| word.connect());
        self.read_valid.connect();
    }
    fn hdl(&self) -> Verilog {
        let top = 32 * self._words - 1;
        let concatenation = |name: &str| {
            let parts: Vec<String> = (0..self._words).rev().map(|word| format!("{name}${word}")).collect();
            format!("{{{}}}", parts.join(", "))
        };
        Verilog::Custom(format!(
            "reg [{top}:0] head;\n\
             reg [{top}:0] spare;\n\
             reg head_full;\n\
             reg spare_full;\n\
             initial begin\n\
             \x20   head = 0;\n\
             \x20   head_full = 0;\n\
             \x20   spare_full = 0;\n\
             end\n\
             wire head_free = !head_full || read_ready;\n\
             assign write_ready = !spare_full;\n\
             assign read_valid = head_full;\n\
             assign {read_data} = head;\n\
             always @(posedge clock) begin\n\
             \x20   if (head_free) begin\n\
             \x20       head <= spare_full ? spare : {write_data};\n\
             \x20       head_full <= spare_full || write_valid;\n\
             \x20       spare_full <= 1'b0;\n\
             \x20   end else if (write_valid) spare_full <= 1'b1;\n\
             \x20   if (!spare_full) spare <= {write_data};\n\
             \x20   if (reset) begin\n\
             \x20       head_full <= 1'b0;\n\
             \x20       spare_full <= 1'b0;\n\
             \x20   end\n\
             end",
            read_data = concatenation("read_data"),
            write_data = concatenation("write_data"),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("skid_buffer_{}", self._words),
            &format!("A queue of two rows of {} words, all outputs of which are registers.", self._words),
        )
    }
}
