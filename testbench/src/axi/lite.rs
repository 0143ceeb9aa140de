//! A master for the AXI4-Lite port: one access at a time, driven once a clock cycle.
//!
//! ```text
//! LiteMaster::write / read  ->  cycle(pins) ... cycle(pins)  ->  take() gives the answer
//! ```
//! All outputs are registered, as those of [`super::MemoryModel`].

use super::pins::Response;

/// What the master drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiteMasterPins {
    pub aw_valid: bool,
    pub aw_address: u32,
    pub w_valid: bool,
    pub w_data: u32,
    pub b_ready: bool,
    pub ar_valid: bool,
    pub ar_address: u32,
    pub r_ready: bool,
}

/// What the accelerator drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiteSlavePins {
    pub aw_ready: bool,
    pub w_ready: bool,
    pub b_valid: bool,
    pub b_response: u8,
    pub ar_ready: bool,
    pub r_valid: bool,
    pub r_data: u32,
    pub r_response: u8,
}

/// The answer to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteAnswer {
    /// What was read; zero for a write.
    pub data: u32,
    /// `RRESP` or `BRESP`.
    pub response: u8,
}

impl LiteAnswer {
    pub fn is_okay(self) -> bool {
        self.response == Response::Okay as u8
    }
}

/// One register access at a time.
#[derive(Clone, Debug, Default)]
pub struct LiteMaster {
    outputs: LiteMasterPins,
    answer: Option<LiteAnswer>,
}

impl LiteMaster {
    /// Whether an access is under way.
    pub fn is_busy(&self) -> bool {
        self.outputs.b_ready || self.outputs.r_ready
    }

    /// The pins of the present cycle.
    pub fn pins(&self) -> &LiteMasterPins {
        &self.outputs
    }

    /// Begins a write in the present cycle. Panics while an access is under way.
    pub fn write(&mut self, address: u32, data: u32) {
        assert!(!self.is_busy(), "one access at a time");
        self.outputs = LiteMasterPins {
            aw_valid: true,
            aw_address: address,
            w_valid: true,
            w_data: data,
            b_ready: true,
            ..LiteMasterPins::default()
        };
    }

    /// Begins a read in the present cycle. Panics while an access is under way.
    pub fn read(&mut self, address: u32) {
        assert!(!self.is_busy(), "one access at a time");
        self.outputs = LiteMasterPins {
            ar_valid: true,
            ar_address: address,
            r_ready: true,
            ..LiteMasterPins::default()
        };
    }

    /// One clock edge with the accelerator's pins before it.
    pub fn cycle(&mut self, slave: &LiteSlavePins) {
        let out = &mut self.outputs;
        out.aw_valid &= !slave.aw_ready;
        out.w_valid &= !slave.w_ready;
        out.ar_valid &= !slave.ar_ready;
        if out.b_ready && slave.b_valid {
            *out = LiteMasterPins::default();
            self.answer = Some(LiteAnswer { data: 0, response: slave.b_response });
        } else if out.r_ready && slave.r_valid {
            *out = LiteMasterPins::default();
            self.answer = Some(LiteAnswer { data: slave.r_data, response: slave.r_response });
        }
    }

    /// The answer of the last access, once.
    pub fn take(&mut self) -> Option<LiteAnswer> {
        self.answer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_holds_each_channel_until_it_is_taken() {
        let mut master = LiteMaster::default();
        master.write(0x24, 7);
        let idle = LiteSlavePins::default();
        master.cycle(&idle);
        assert!(master.pins().aw_valid && master.pins().w_valid);
        master.cycle(&LiteSlavePins { w_ready: true, ..idle });
        assert!(master.pins().aw_valid && !master.pins().w_valid);
        assert_eq!((master.pins().aw_address, master.take()), (0x24, None));
        master.cycle(&LiteSlavePins { aw_ready: true, ..idle });
        assert!(!master.pins().aw_valid && master.pins().b_ready);
        master.cycle(&LiteSlavePins { b_valid: true, b_response: 2, ..idle });
        assert!(!master.is_busy());
        let answer = master.take().unwrap();
        assert!(!answer.is_okay());
        assert_eq!(master.take(), None);
    }

    #[test]
    fn a_read_returns_its_data() {
        let mut master = LiteMaster::default();
        master.read(0x28);
        let idle = LiteSlavePins::default();
        master.cycle(&LiteSlavePins { ar_ready: true, ..idle });
        assert!(!master.pins().ar_valid && master.is_busy());
        master.cycle(&LiteSlavePins { r_valid: true, r_data: 99, ..idle });
        assert_eq!(master.take(), Some(LiteAnswer { data: 99, response: 0 }));
        assert_eq!(*master.pins(), LiteMasterPins::default());
    }
}
