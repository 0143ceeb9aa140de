//! Verilog from Rust blocks: readable, without duplicates, the same bytes every time.
use rust_hdl_core::prelude::*;

/// What a block is called in the Verilog, and the comment above its module. Return it from [`Logic::timing`].
pub fn describe(name: &str, comment: &str) -> Vec<TimingInfo> {
    vec![TimingInfo {
        name: name.into(),
        clock: DESCRIPTION.into(),
        inputs: comment.lines().map(str::to_owned).collect(),
        outputs: Vec::new(),
    }]
}

/// Marks a [`TimingInfo`] as a description.
const DESCRIPTION: &str = "//";

/// Verilog text and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerilogFile {
    pub text: String,
    /// Every module in the order of the text; the top comes first.
    pub modules: Vec<ModuleInfo>,
}

impl VerilogFile {
    /// The top module.
    pub fn top(&self) -> &ModuleInfo {
        &self.modules[0]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    pub name: String,
    /// In declaration order.
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// In the Verilog, such as `activation_3`.
    pub name: String,
    /// In rust-hdl, such as `activation$3`.
    pub original_name: String,
    pub width: usize,
    pub direction: PortDirection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDirection {
    Input,
    Output,
}
