//! A simulated board behind a pseudo-terminal: a program opens it as it opens a serial port.

use crate::board::SimulatedBoard;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fcntl_getfl, fcntl_setfl, open, Mode, OFlags};
use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcgetattr, tcsetattr, OptionalActions};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Cycles between two looks at the terminal.
const SLICE_CYCLES: u64 = 2_000;
/// Cycles without a byte after which the simulation slows down, so that it does not heat the room while nobody speaks to it.
const IDLE_CYCLES: u64 = 3_000_000;

/// A thread that simulates the board, until this is dropped.
pub struct BoardOnTerminal {
    path: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the terminal open while nobody else has it.
    _terminal: OwnedFd,
}

impl BoardOnTerminal {
    /// Puts the board behind a new terminal.
    ///
    /// # Errors
    /// If the system has no terminal for it.
    pub fn start(mut board: SimulatedBoard) -> io::Result<BoardOnTerminal> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let path = ptsname(&controller, Vec::new())?.to_string_lossy().into_owned();
        let terminal = open(path.as_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        // Bytes as they are, without echo: before anybody writes.
        let mut settings = tcgetattr(&terminal)?;
        settings.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &settings)?;
        fcntl_setfl(&controller, fcntl_getfl(&controller)? | OFlags::NONBLOCK)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("simulated board".into()).spawn(move || {
            let mut file = File::from(controller);
            let mut waiting = VecDeque::new();
            let mut quiet = 0;
            while !stops.load(Ordering::Relaxed) {
                let moved = exchange(&mut board, &mut file, &mut waiting);
                quiet = if moved { 0 } else { quiet + SLICE_CYCLES };
                if quiet > IDLE_CYCLES {
                    let pause = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                    let _ = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&pause));
                }
                board.run(SLICE_CYCLES);
            }
        })?;
        Ok(BoardOnTerminal { path, stop, thread: Some(thread), _terminal: terminal })
    }

    /// What the driver opens.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Bytes from the terminal to the board and back; whether there were any.
fn exchange(board: &mut SimulatedBoard, file: &mut File, waiting: &mut VecDeque<u8>) -> bool {
    let mut buffer = [0; 4096];
    let mut moved = false;
    if let Ok(count @ 1..) = file.read(&mut buffer) {
        board.send(&buffer[..count]);
        moved = true;
    }
    waiting.extend(board.received());
    while !waiting.is_empty() {
        // What the terminal does not take now, it takes later.
        match file.write(waiting.make_contiguous()) {
            Ok(count @ 1..) => drop(waiting.drain(..count)),
            _ => break,
        }
        moved = true;
    }
    moved || board.is_receiving()
}

impl Drop for BoardOnTerminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
