//! The checker of the order between commands.
//!
//! A vector clock says, for a command that starts, how many commands of each engine are known to be finished: those whose
//! token it took, directly or through a chain. A clock grows along an engine, because commands start in order, and a token
//! of an engine's command n says that commands 0 ..= n of that engine are finished. The n-th token taken from a counter is
//! the n-th sent. Each cell of each memory remembers its last writer and, for each engine, its last reader since.
//!
//! | access | earlier access that must be known to be finished |
//! |---|---|
//! | read | the last write, by another engine; by the own engine too if that is matrix or vector, whose results are in the pipeline for a while |
//! | write | the last write and all reads since, by other engines |
//!
//! Within the own engine writes are in order, and a read is before any later command's write. A command that reads what it
//! wrote itself sees the old or the new bytes, as the pipeline has it: that is a hazard as well.
//!
//! Dispatch has a clock, too: barriers make it grow, and a command starts with what dispatch knew when it was dispatched. An access
//! to scalars by dispatch itself is ordered with the commands dispatched later, and with those that its clock says are finished.
//!
//! Commands are known by their *sequence number*, the count of commands dispatched before: in a loop, a command of the program
//! has many.
//!
//! A cell is a tile, a parameter group, an accumulator row, a row of group scales, a scalar, 16 bytes behind the bus, or the part of an activation vector
//! that one result of the output stage covers. Reads of activations concern whole vectors, for a memory must not be read at
//! an address in the cycle that writes any part of it.

use crate::MemoryKind;
use frugal_isa::{Command, Engine, MEMORY_QUANTUM};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;

/// Which two accesses are not ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HazardKind {
    ReadAfterWrite,
    WriteAfterRead,
    WriteAfterWrite,
    /// A command reads what it wrote itself.
    OwnWrite,
}

/// Two accesses that no tokens order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hazard {
    pub kind: HazardKind,
    pub memory: MemoryKind,
    pub address: u32,
    /// Index, engine and disassembly of the command that was executed first.
    pub first: (usize, Engine, String),
    /// The same of the command that was executed later.
    pub second: (usize, Engine, String),
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, first, second) = match self.kind {
            HazardKind::ReadAfterWrite => ("read after write", "writes", "reads"),
            HazardKind::WriteAfterRead => ("write after read", "reads", "writes"),
            HazardKind::WriteAfterWrite => ("write after write", "writes", "writes"),
            HazardKind::OwnWrite => {
                return write!(
                    f,
                    "hazard in the {} at {}: the command reads what it has written itself",
                    self.memory,
                    Where(self.memory, self.address)
                );
            }
        };
        write!(
            f,
            "hazard, {kind} in the {} at {}: command {} ({}) {first}, command {} ({}) {second}, and no tokens order them\n  {}: {}",
            self.memory,
            Where(self.memory, self.address),
            self.first.0,
            self.first.1.name(),
            self.second.0,
            self.second.1.name(),
            self.first.0,
            self.first.2
        )
    }
}

struct Where(MemoryKind, u32);

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == MemoryKind::Bus {
            write!(f, "0x{:08x}", self.1)
        } else {
            write!(f, "{}", self.1)
        }
    }
}

/// Finished commands of each engine.
type Clock = [u32; 4];

/// Sequence number of a command plus one; zero is none.
type Link = u32;

#[derive(Clone, Copy, Default)]
struct Cell {
    writer: Link,
    readers: [Link; 5],
}

/// Only the store engine writes behind the bus and only the load engine reads.
#[derive(Clone, Copy, Default)]
struct BusCell {
    writer: Link,
    reader: Link,
}

const PAGE_CELLS: u32 = 4096;

/// A command that was dispatched.
struct Place {
    engine: Engine,
    /// Number among the engine's commands.
    number: u32,
    /// Index in the program.
    index: u32,
    /// What dispatch knew.
    known: Clock,
}

/// On-chip memories.
pub(crate) const MEMORIES: usize = 7;

/// State of the checker over one run.
pub(crate) struct Hazards {
    /// By sequence number.
    places: Vec<Place>,
    /// Commands of each engine that were dispatched.
    counts: Clock,
    clocks: [Clock; 4],
    /// What dispatch knows.
    control: Clock,
    /// Clocks that the tokens of (from, to) carry.
    tokens: [[VecDeque<Clock>; 4]; 4],
    current: usize,
    /// Cells of an activation vector.
    parts: usize,
    cells: [Vec<Cell>; MEMORIES],
    bus: HashMap<u32, Box<[BusCell]>>,
}

/// A conflict before it has words.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub kind: HazardKind,
    pub memory: MemoryKind,
    pub address: u32,
    /// Sequence numbers.
    pub first: usize,
    pub second: usize,
}

impl Hazards {
    pub fn new(depths: [usize; MEMORIES], parts: usize) -> Hazards {
        let cells = |memory: MemoryKind, parts| vec![Cell::default(); depths[memory as usize] * parts];
        Hazards {
            places: Vec::new(),
            counts: [0; 4],
            clocks: [[0; 4]; 4],
            control: [0; 4],
            tokens: Default::default(),
            current: 0,
            parts,
            cells: [
                cells(MemoryKind::Activation, parts),
                cells(MemoryKind::Weight, 1),
                cells(MemoryKind::Parameter, 1),
                cells(MemoryKind::Accumulator, 1),
                cells(MemoryKind::Table, 1),
                cells(MemoryKind::Scalar, 1),
                cells(MemoryKind::Scale, 1),
            ],
            bus: HashMap::new(),
        }
    }

    /// The words of a conflict.
    pub fn describe(&self, conflict: &Conflict, commands: &[Command]) -> Hazard {
        let place = |sequence: usize| {
            let index = self.places[sequence].index as usize;
            (index, commands[index].engine(), commands[index].to_string())
        };
        Hazard {
            kind: conflict.kind,
            memory: conflict.memory,
            address: conflict.address,
            first: place(conflict.first),
            second: place(conflict.second),
        }
    }

    /// A command is dispatched: command `index` of the program. One of dispatch itself is executed now.
    pub fn dispatch(&mut self, index: usize, engine: Engine) {
        self.current = self.places.len();
        let count = self.counts.get_mut(engine as usize);
        let number = count.as_deref().copied().unwrap_or(0);
        if let Some(count) = count {
            *count += 1;
        }
        self.places.push(Place { engine, number, index: index as u32, known: self.control });
    }

    /// A command starts: it takes its tokens.
    pub fn begin(&mut self, command: usize, wait: u8) {
        self.current = command;
        let own = self.places[command].engine as usize;
        for (clock, known) in self.clocks[own].iter_mut().zip(self.places[command].known) {
            *clock = (*clock).max(known);
        }
        for from in 0..4 {
            if wait & (1 << from) != 0 {
                let clock = self.tokens[from][own].pop_front().expect("the token is there");
                for (known, more) in self.clocks[own].iter_mut().zip(clock) {
                    *known = (*known).max(more);
                }
            }
        }
    }

    /// The command is finished: it sends its tokens.
    pub fn finish(&mut self, signal: u8) {
        let Place { engine, number, .. } = self.places[self.current];
        let own = engine as usize;
        let mut clock = self.clocks[own];
        clock[own] = clock[own].max(number + 1);
        for to in 0..4 {
            if signal & (1 << to) != 0 {
                self.tokens[own][to].push_back(clock);
            }
        }
    }

    /// These engines are idle: everything that they were given is finished, and everything that this depends on.
    pub fn barrier(&mut self, engines: u8) {
        for engine in (0..4).filter(|engine| engines >> engine & 1 == 1) {
            for (known, more) in self.control.iter_mut().zip(self.clocks[engine]) {
                *known = (*known).max(more);
            }
            self.control[engine] = self.counts[engine];
        }
    }

    /// Whether the command behind `link` is known to be finished when the current one starts.
    fn ordered(&self, link: Link) -> bool {
        let earlier = &self.places[link as usize - 1];
        let clock = self.clocks.get(self.own_engine() as usize).unwrap_or(&self.control);
        match clock.get(earlier.engine as usize) {
            Some(finished) => *finished > earlier.number,
            // Dispatch has done it before it dispatched what comes later.
            None => (link as usize) <= self.current,
        }
    }

    fn engine_of(&self, link: Link) -> Engine {
        self.places[link as usize - 1].engine
    }

    fn own_engine(&self) -> Engine {
        self.places[self.current].engine
    }

    fn conflict(&self, kind: HazardKind, memory: MemoryKind, address: u32, first: Link) -> Conflict {
        Conflict { kind, memory, address, first: first as usize - 1, second: self.current }
    }

    /// The current command reads an address of an on-chip memory; `bytes` are those whose value matters.
    pub fn read(
        &mut self,
        memory: MemoryKind,
        address: u32,
        bytes: Range<usize>,
        width: usize,
    ) -> Result<(), Conflict> {
        let parts = if memory == MemoryKind::Activation { self.parts } else { 1 };
        let own = self.own_engine();
        let link = self.current as u32 + 1;
        let first = address as usize * parts;
        let part_bytes = width / parts;
        for part in 0..parts {
            let writer = self.cells[memory as usize][first + part].writer;
            if writer == link {
                let used = part * part_bytes < bytes.end && bytes.start < (part + 1) * part_bytes;
                if used {
                    return Err(self.conflict(HazardKind::OwnWrite, memory, address, writer));
                }
            } else if writer != 0 {
                let in_order = self.engine_of(writer) == own
                    && matches!(own, Engine::Load | Engine::Store | Engine::Control);
                if !in_order && !self.ordered(writer) {
                    return Err(self.conflict(HazardKind::ReadAfterWrite, memory, address, writer));
                }
            }
            self.cells[memory as usize][first + part].readers[own as usize] = link;
        }
        Ok(())
    }

    /// The current command writes bytes of an address of an on-chip memory.
    pub fn write(
        &mut self,
        memory: MemoryKind,
        address: u32,
        bytes: Range<usize>,
        width: usize,
    ) -> Result<(), Conflict> {
        let parts = if memory == MemoryKind::Activation { self.parts } else { 1 };
        let own = self.own_engine();
        let first = address as usize * parts;
        let part_bytes = width / parts;
        for part in bytes.start / part_bytes..bytes.end.div_ceil(part_bytes) {
            let cell = self.cells[memory as usize][first + part];
            if cell.writer != 0 && self.engine_of(cell.writer) != own && !self.ordered(cell.writer) {
                return Err(self.conflict(HazardKind::WriteAfterWrite, memory, address, cell.writer));
            }
            for reader in cell.readers {
                if reader != 0 && self.engine_of(reader) != own && !self.ordered(reader) {
                    return Err(self.conflict(HazardKind::WriteAfterRead, memory, address, reader));
                }
            }
            self.cells[memory as usize][first + part] =
                Cell { writer: self.current as u32 + 1, readers: [0; 5] };
        }
        Ok(())
    }

    fn bus_cell(&mut self, granule: u32) -> &mut BusCell {
        let page = self
            .bus
            .entry(granule / PAGE_CELLS)
            .or_insert_with(|| vec![BusCell::default(); PAGE_CELLS as usize].into_boxed_slice());
        &mut page[(granule % PAGE_CELLS) as usize]
    }

    /// The load engine reads behind the bus.
    pub fn read_bus(&mut self, address: u32, length: usize) -> Result<(), Conflict> {
        let link = self.current as u32 + 1;
        for granule in granules(address, length) {
            let cell = self.bus_cell(granule);
            cell.reader = link;
            let writer = cell.writer;
            if writer != 0 && !self.ordered(writer) {
                let address = granule * MEMORY_QUANTUM;
                return Err(self.conflict(HazardKind::ReadAfterWrite, MemoryKind::Bus, address, writer));
            }
        }
        Ok(())
    }

    /// The store engine writes behind the bus.
    pub fn write_bus(&mut self, address: u32, length: usize) -> Result<(), Conflict> {
        let link = self.current as u32 + 1;
        for granule in granules(address, length) {
            let cell = self.bus_cell(granule);
            let reader = cell.reader;
            *cell = BusCell { writer: link, reader: 0 };
            if reader != 0 && !self.ordered(reader) {
                let address = granule * MEMORY_QUANTUM;
                return Err(self.conflict(HazardKind::WriteAfterRead, MemoryKind::Bus, address, reader));
            }
        }
        Ok(())
    }
}

fn granules(address: u32, length: usize) -> Range<u32> {
    address / MEMORY_QUANTUM..(address as u64 + length as u64).div_ceil(u64::from(MEMORY_QUANTUM)) as u32
}
