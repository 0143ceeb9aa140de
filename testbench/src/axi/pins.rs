//! The pins of one clock cycle. Addresses are bytes; lengths are beats minus one; data is little endian in the low bits.

/// `RRESP` and `BRESP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Response {
    #[default]
    Okay = 0,
    /// The memory is there and refuses.
    SlaveError = 2,
    /// Nothing is at this address.
    DecodeError = 3,
}

/// What the accelerator drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MasterPins {
    pub ar_valid: bool,
    pub ar_address: u32,
    pub ar_length: u8,
    pub ar_id: u8,
    pub r_ready: bool,
    pub aw_valid: bool,
    pub aw_address: u32,
    pub aw_length: u8,
    pub w_valid: bool,
    pub w_data: u128,
    pub w_strobe: u16,
    pub w_last: bool,
    pub b_ready: bool,
}

/// What the memory drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlavePins {
    pub ar_ready: bool,
    pub r_valid: bool,
    pub r_data: u128,
    pub r_response: Response,
    pub r_last: bool,
    pub r_id: u8,
    pub aw_ready: bool,
    pub w_ready: bool,
    pub b_valid: bool,
    pub b_response: Response,
}
