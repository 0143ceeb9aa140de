//! A synchronous queue of rows of words.
use super::prelude::*;
use super::{inputs, outputs};

/// A first-word fall-through queue: `read_data` shows the oldest entry whenever `read_valid`, and `read_ready` takes it
/// at the clock edge. An entry written in one cycle can be read in the next. `write_ready` and `read_valid` depend on
/// registers only, so queues chain without a combinational path between the two sides.
///
/// The storage of short queues is read asynchronously (distributed RAM). From [`Fifo::BLOCK_RAM_DEPTH`] entries on it is block RAM, which is read a cycle
/// ahead; an entry that is written in that very cycle goes around it. [`Fifo::in_luts`] does without block RAM at any depth.
#[derive(LogicBlock)]
pub struct Fifo {
    pub clock: Signal<In, Clock>,
    /// Empties the queue.
    pub reset: Signal<In, Bit>,
    // Write side.
    pub write_data: Vec<Signal<In, Bits<32>>>,
    pub write_valid: Signal<In, Bit>,
    pub write_ready: Signal<Out, Bit>,
    // Read side.
    pub read_data: Vec<Signal<Out, Bits<32>>>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    /// Entries in the queue.
    pub level: Signal<Out, Bits<16>>,
    _depth: usize,
    _words: usize,
    _in_luts: bool,
    _entries: Vec<u32>,
    _write: usize,
    _read: usize,
    _count: usize,
}

impl Fifo {
    /// Entries from which on the storage is block RAM: with fewer, LUTs are cheaper than the port's bypass.
    pub const BLOCK_RAM_DEPTH: usize = 64;

    /// # Panics
    /// If `depth` is not in 2..=32768 or `words` is 0.
    pub fn new(depth: usize, words: usize) -> Self {
        assert!((2..=1 << 15).contains(&depth), "a queue holds 2 to 32768 entries, not {depth}");
        assert!(words > 0, "a queue without words");
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            write_data: inputs(words),
            write_valid: Signal::default(),
            write_ready: Signal::new_with_default(true),
            read_data: outputs(words),
            read_valid: Signal::default(),
            read_ready: Signal::default(),
            level: Signal::default(),
            _depth: depth,
            _words: words,
            _in_luts: false,
            _entries: vec![0; depth * words],
            _write: 0,
            _read: 0,
            _count: 0,
        }
    }

    /// The same queue without block RAM if `in_luts`.
    pub fn in_luts(mut self, in_luts: bool) -> Self {
        self._in_luts = in_luts;
        self
    }
}

impl Logic for Fifo {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let take = self.read_valid.val() && self.read_ready.val();
        let put = self.write_ready.val() && self.write_valid.val();
        if put {
            let entry = &mut self._entries[self._write * self._words..][..self._words];
            for (target, word) in entry.iter_mut().zip(&self.write_data) {
                *target = word.val().to_u32();
            }
        }
        if self.reset.val() {
            (self._write, self._read, self._count) = (0, 0, 0);
        } else {
            self._write = (self._write + usize::from(put)) % self._depth;
            self._read = (self._read + usize::from(take)) % self._depth;
            self._count = self._count + usize::from(put) - usize::from(take);
        }
        let entry = &self._entries[self._read * self._words..];
        for (port, word) in self.read_data.iter_mut().zip(entry) {
            port.next = u64::from(*word).into();
        }
        self.write_ready.next = self._count < self._depth;
        self.read_valid.next = self._count > 0;
        self.level.next = (self._count as u64).into();
    }
    fn connect(&mut self) {
        self.write_ready.connect();
        self.read_data.iter_mut().for_each(|word| word.connect());
        self.read_valid.connect();
        self.level.connect();
    }
    fn hdl(&self) -> Verilog {
        let pointer_bits = clog2(self._depth).max(1);
        let count_bits = clog2(self._depth + 1);
        let last = self._depth - 1;
        let top = 32 * self._words - 1;
        let concatenation = |name: &str| {
            let parts: Vec<String> = (0..self._words).rev().map(|word| format!("{name}${word}")).collect();
            format!("{{{}}}", parts.join(", "))
        };
        // Pointers of a power of two turn over by themselves.
        let step = |pointer: &str| {
            if self._depth.is_power_of_two() {
                format!("{pointer} + {pointer_bits}'d1")
            } else {
                format!(
                    "{pointer} == {pointer_bits}'d{last} ? {pointer_bits}'d0 : {pointer} + {pointer_bits}'d1"
                )
            }
        };
        let in_block_ram = self._depth >= Fifo::BLOCK_RAM_DEPTH && !self._in_luts;
        let (attribute, head, read) = if in_block_ram {
            let head = format!(
                "reg [{top}:0] fetched;\n\
                 reg [{top}:0] newest;\n\
                 reg is_newest;\n\
                 wire [{pointer_top}:0] next_read = reset ? {pointer_bits}'d0 : take ? {read_step} : read_pointer;\n\
                 always @(posedge clock) begin\n\
                 \x20   fetched <= entries[next_read];\n\
                 \x20   newest <= {write_data};\n\
                 \x20   is_newest <= put && write_pointer == next_read;\n\
                 end\n",
                pointer_top = pointer_bits - 1,
                read_step = step("read_pointer"),
                write_data = concatenation("write_data"),
            );
            ("(* no_rw_check *) ", head, "is_newest ? newest : fetched")
        } else {
            ("", String::new(), "entries[read_pointer]")
        };
        Verilog::Custom(format!(
            "{attribute}reg [{top}:0] entries [0:{last}];\n\
             reg [{pointer_top}:0] write_pointer;\n\
             reg [{pointer_top}:0] read_pointer;\n\
             reg [{count_top}:0] count;\n\
             reg filled;\n\
             initial begin\n\
             \x20   filled = 0;\n\
             \x20   write_pointer = 0;\n\
             \x20   read_pointer = 0;\n\
             \x20   count = 0;\n\
             end\n\
             wire put = write_valid && write_ready;\n\
             wire take = read_valid && read_ready;\n\
             assign write_ready = {has_room};\n\
             assign read_valid = filled;\n\
             assign level = {level};\n\
             {head}assign {read_data} = {read};\n\
             always @(posedge clock) begin\n\
             \x20   if (put) begin\n\
             \x20       entries[write_pointer] <= {write_data};\n\
             \x20       write_pointer <= {write_step};\n\
             \x20   end\n\
             \x20   if (take) read_pointer <= {read_step};\n\
             \x20   count <= count + {{{count_top}'d0, put}} - {{{count_top}'d0, take}};\n\
             \x20   if (put != take) filled <= put || count != {count_bits}'d1;\n\
             \x20   if (reset) begin\n\
             \x20       filled <= 1'b0;\n\
             \x20       write_pointer <= {pointer_bits}'d0;\n\
             \x20       read_pointer <= {pointer_bits}'d0;\n\
             \x20       count <= {count_bits}'d0;\n\
             \x20   end\n\
             end",
            pointer_top = pointer_bits - 1,
            count_top = count_bits - 1,
            level = match 16 - count_bits {
                0 => "count".to_owned(),
                unused => format!("{{{unused}'d0, count}}"),
            },
            has_room = if self._depth.is_power_of_two() {
                format!("!count[{}]", count_bits - 1)
            } else {
                format!("count != {count_bits}'d{}", self._depth)
            },
            read_data = concatenation("read_data"),
            read_step = step("read_pointer"),
            write_step = step("write_pointer"),
            write_data = concatenation("write_data"),
        ))
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe(
            &format!("fifo_{}_by_{}", self._depth, self._words),
            &format!(
                "A first-word fall-through queue: {} entries of {} words. Both handshakes come from registers.",
                self._depth, self._words
            ),
        )
    }
}
