//! Verilog from Rust blocks: readable, without duplicates, the same bytes every time.
//!
//! ```text
//! block --Probe--> collect --hdl()--> ir --> lint --> print --> VerilogFile
//!                  (this file)        names resolved,           one module for each
//!                                     loops unrolled            distinct block
//! ```
//! [`emit`] walks a connected block (`connect_all()` is not needed) and writes one Verilog module for each distinct block:
//! blocks whose ports and contents are equal share a module, bottom-up. A block says what its module is called, and the
//! comment above it, by returning [`describe`] from [`Logic::timing`]; put parameters into the name (`pair_sum_17`). Equal
//! names with different contents get a number (`pair_sum_17_2`), in the order of appearance. Blocks that say nothing are
//! named after the first instance.
//!
//! What the Verilog looks like:
//!
//! * ANSI ports in the order of the struct's fields, `$` replaced by `_` ([`Port`] keeps both names);
//! * a [`DFF`](rust_hdl_widgets::prelude::DFF) `count` is a register `count` that takes `count_d` at the clock's edge;
//! * children's ports are connected directly where they are just a signal; other logic is one `assign` for each signal,
//!   or one `always @(*)` for each set of signals driven together;
//! * every number has the width it has in Rust; every nested operator has its parentheses;
//! * a leaf's own text ([`Verilog::Custom`]) is copied with its names replaced, token by token.
//!
//! Before anything is written, the expression and latch checks of the [`lint`] module run; [`EmitError`] lists all findings.
mod custom;
mod ir;
pub mod lint;
mod module;
mod names;
mod print;
#[cfg(test)]
mod tests;

use rust_hdl_core::ast::Verilog;
use rust_hdl_core::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use ir::Literal;
use lint::Problem;
use module::{AtomInfo, Body, Enumeration, Instance};
use names::{readable, without_index, Names};

/// What a block is called in the Verilog, and the comment above its module. Return it from [`Logic::timing`], the only
/// text a `dyn Block` can hand out.
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
    pub is_signed: bool,
    pub direction: PortDirection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDirection {
    Input,
    Output,
    /// Driven from both sides: a pin of a chip. A block hands it to one child, down to the leaf whose text drives it.
    InOut,
}

/// One thing wrong with one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The instance, from the top: `top.array.row$3`.
    pub path: String,
    pub problem: Problem,
}

/// Why there is no Verilog: everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitError {
    pub findings: Vec<Finding>,
}

impl std::error::Error for EmitError {}

impl std::fmt::Display for EmitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 20;
        write!(f, "the design cannot be written as Verilog:")?;
        for finding in self.findings.iter().take(SHOWN) {
            write!(f, "\n  {}: {}", finding.path, finding.problem)?;
        }
        if self.findings.len() > SHOWN {
            write!(f, "\n  and {} more", self.findings.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// Writes `top` and everything in it as Verilog. The top module is called `top_name`; `header` is the comment at the head
/// of the file.
pub fn emit(top: &dyn Block, top_name: &str, header: &str) -> Result<VerilogFile, EmitError> {
    let mut collector = Collector { top_name: top_name.into(), ..Collector::default() };
    collector.names.claim(top_name);
    top.accept(top_name, &mut collector);
    if !collector.findings.is_empty() {
        return Err(EmitError { findings: collector.findings });
    }
    Ok(collector.file(header))
}

/// A finished module.
struct Module {
    name: String,
    comment: Vec<String>,
    body: Body,
    children: Vec<usize>,
    enumerations: Vec<Enumeration>,
    /// The reset value of a register of rust-hdl's own.
    register: Option<Literal>,
    /// Described elsewhere; only the name is used.
    is_black_box: bool,
}

/// A block whose end has not been seen yet.
#[derive(Default)]
struct Scope {
    instance: String,
    atoms: Vec<AtomInfo>,
    enumerations: Vec<Enumeration>,
    /// Instance name and module.
    children: Vec<(String, usize)>,
    /// The interfaces around the current signal.
    namespaces: Vec<String>,
}

#[derive(Default)]
struct Collector {
    top_name: String,
    scopes: Vec<Scope>,
    modules: Vec<Module>,
    by_content: HashMap<String, usize>,
    names: Names,
    findings: Vec<Finding>,
    reported: BTreeSet<String>,
}

impl Probe for Collector {
    fn visit_start_scope(&mut self, name: &str, _node: &dyn Block) {
        self.scopes.push(Scope { instance: name.into(), ..Scope::default() });
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.namespaces.push(name.into());
        }
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.namespaces.pop();
        }
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        let mut path = scope.namespaces.clone();
        path.push(name.into());
        let descriptor = signal.descriptor();
        collect_enumerations(&descriptor, &mut scope.enumerations);
        let kind = signal.kind();
        scope.atoms.push(AtomInfo {
            name: path.join("$"),
            kind,
            width: signal.bits(),
            signed: matches!(descriptor.kind, TypeKind::Signed(_)),
            value: (kind == AtomKind::Constant).then(|| Literal::from_ast(&signal.verilog())).flatten(),
        });
    }

    fn visit_end_scope(&mut self, _name: &str, node: &dyn Block) {
        let Some(scope) = self.scopes.pop() else {
            return;
        };
        let timing = node.timing();
        let is_register = timing.iter().any(|info| info.name == "dff" && info.clock == "clock");
        let is_top = self.scopes.is_empty();
        let (mut wanted_name, mut comment) = (without_index(&scope.instance).to_owned(), Vec::new());
        let mut is_described = false;
        if let Some(info) = timing.into_iter().find(|info| info.clock == DESCRIPTION) {
            (wanted_name, comment, is_described) = (info.name, info.inputs, true);
        }
        let mut code = node.hdl();
        let register = if is_register { Register::of(&scope, &code) } else { None };
        if let Some(register) = &register {
            (wanted_name, is_described) = (register.name(), true);
            comment = vec!["Takes `d` at the clock's rising edge.".into()];
            code = Verilog::Custom(register.verilog());
        }
        let instances: Vec<Instance> = scope
            .children
            .iter()
            .map(|(name, module)| Instance {
                name: name.clone(),
                module_name: &self.modules[*module].name,
                ports: &self.modules[*module].body.ports,
                enumerations: &self.modules[*module].enumerations,
                register: self.modules[*module].register.as_ref(),
            })
            .collect();
        let result = module::build(&scope.atoms, &scope.enumerations, &instances, &code);
        let body = result.unwrap_or_else(|problems| {
            self.report(&scope.instance, &wanted_name, problems);
            let ports = module::ports_of(&scope.atoms);
            Body { ports, text: String::new(), cores: None, inlines_registers: false }
        });
        let is_black_box = matches!(code, Verilog::Blackbox(_));
        let key = format!(
            "{}\n{}\n{}\n{}",
            if is_described { &wanted_name } else { "" },
            comment.join("\n"),
            body.text,
            body.cores.as_deref().unwrap_or("")
        );
        let module = match self.by_content.get(&key) {
            Some(module) if !is_top => {
                // The same Verilog, of another type with as many values.
                for enumeration in scope.enumerations {
                    if !self.modules[*module].enumerations.contains(&enumeration) {
                        self.modules[*module].enumerations.push(enumeration);
                    }
                }
                *module
            }
            _ => {
                let name = match &code {
                    _ if is_top => self.top_name.clone(),
                    Verilog::Blackbox(blackbox) => blackbox.name.clone(),
                    _ => self.names.claim(&wanted_name),
                };
                self.by_content.insert(key, self.modules.len());
                self.modules.push(Module {
                    name,
                    comment,
                    body,
                    children: scope.children.iter().map(|child| child.1).collect(),
                    enumerations: scope.enumerations,
                    register: register.map(|register| register.reset),
                    is_black_box,
                });
                self.modules.len() - 1
            }
        };
        if let Some(parent) = self.scopes.last_mut() {
            // A child of an interface does not exist: namespaces hold signals only.
            parent.children.push((scope.instance, module));
        }
    }
}

impl Collector {
    fn report(&mut self, instance: &str, kind: &str, problems: Vec<Problem>) {
        let mut path: Vec<&str> = self.scopes.iter().map(|scope| scope.instance.as_str()).collect();
        path.push(instance);
        let path = path.join(".");
        for problem in problems {
            // Each kind of block is reported once.
            if self.reported.insert(format!("{kind} {problem}")) {
                self.findings.push(Finding { path: path.clone(), problem });
            }
        }
    }

    /// The top first, then children in the order of their first instance.
    fn file(&self, header: &str) -> VerilogFile {
        let mut order = vec![self.modules.len() - 1];
        let mut seen: BTreeSet<usize> = order.iter().copied().collect();
        let mut next = 0;
        while next < order.len() {
            let parent = &self.modules[order[next]];
            for child in &parent.children {
                let is_inline = parent.body.inlines_registers && self.modules[*child].register.is_some();
                if !is_inline && seen.insert(*child) {
                    order.push(*child);
                }
            }
            next += 1;
        }
        let mut file = VerilogFile { text: String::new(), modules: Vec::new() };
        for line in header.lines() {
            file.text.push_str(format!("// {line}").trim_end());
            file.text.push('\n');
        }
        // One file holds all modules, so none but the top can be named after it.
        file.text.push_str("/* verilator lint_off DECLFILENAME */\n");
        let mut cores = Vec::new();
        for module in order.into_iter().map(|module| &self.modules[module]) {
            if let Some(core) = &module.body.cores {
                if !cores.contains(&core.as_str()) {
                    cores.push(core);
                }
            }
            if module.is_black_box {
                continue;
            }
            if !file.text.is_empty() {
                file.text.push('\n');
            }
            for line in &module.comment {
                file.text.push_str(format!("// {line}").trim_end());
                file.text.push('\n');
            }
            let _ = write!(file.text, "module {} {}", module.name, module.body.text);
            file.modules.push(ModuleInfo { name: module.name.clone(), ports: module.body.ports.clone() });
        }
        for core in cores {
            let _ = write!(file.text, "\n{}\n", core.trim());
        }
        file
    }
}

fn collect_enumerations(descriptor: &TypeDescriptor, into: &mut Vec<Enumeration>) {
    match &descriptor.kind {
        TypeKind::Enum(values) => {
            let enumeration = Enumeration {
                name: descriptor.name.clone(),
                values: values.iter().map(|value| value.replace("::", "$")).collect(),
                width: clog2(values.len()),
            };
            if !into.contains(&enumeration) {
                into.push(enumeration);
            }
        }
        TypeKind::Composite(fields) => {
            fields.iter().for_each(|field| collect_enumerations(&field.kind, into))
        }
        TypeKind::Bits(_) | TypeKind::Signed(_) => {}
    }
}

/// rust-hdl's flip-flop widget, which says neither its width nor its reset value. A block's registers become part of its
/// module; only a leaf with hand-written Verilog gets them as modules.
struct Register {
    width: usize,
    reset: Literal,
}

impl Register {
    fn of(scope: &Scope, code: &Verilog) -> Option<Self> {
        let Verilog::Custom(text) = code else {
            return None;
        };
        let width = scope.atoms.iter().find(|atom| atom.name == "q")?.width;
        let (_, rest) = text.split_once("q = ")?;
        let (_, digits) = rest.split_once(';')?.0.split_once("'h")?;
        Some(Self { width, reset: Literal::from_hexadecimal(digits)? })
    }

    fn name(&self) -> String {
        match self.reset.value() {
            Some(0) => format!("register_{}", self.width),
            _ => readable(&format!("register_{}_from_{}", self.width, self.reset.print(self.width))),
        }
    }

    fn verilog(&self) -> String {
        format!("initial q = {};\nalways @(posedge clock) q <= d;", self.reset.print(self.width))
    }
}
