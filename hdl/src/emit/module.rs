//! Builds the text of one module from what the probe collected about a block.
use rust_hdl_core::ast::Verilog;
use rust_hdl_core::prelude::AtomKind;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::custom;
use super::ir::{Expr, Literal, Resolver, Role, SignalId, Statement, Symbol, Symbols};
use super::lint::{undriven, Linter, PathCheck, Problem};
use super::names::Names;
use super::print::{is_number, Lines, Printer, LINE_WIDTH};
use super::{Port, PortDirection};

/// A signal, constant or port of a block.
#[derive(Clone, Debug)]
pub(super) struct AtomInfo {
    pub(super) name: String,
    pub(super) kind: AtomKind,
    pub(super) width: usize,
    pub(super) signed: bool,
    pub(super) value: Option<Literal>,
}

/// An enumeration that a block's signals use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Enumeration {
    pub(super) name: String,
    /// `Type$Value`.
    pub(super) values: Vec<String>,
    pub(super) width: usize,
}

/// A block inside a block.
pub(super) struct Instance<'a> {
    pub(super) name: String,
    pub(super) module_name: &'a str,
    pub(super) ports: &'a [Port],
    pub(super) enumerations: &'a [Enumeration],
    /// The reset value of a register.
    pub(super) register: Option<&'a Literal>,
}

/// A module without its name and header comment.
pub(super) struct Body {
    pub(super) ports: Vec<Port>,
    /// From `(` on.
    pub(super) text: String,
    /// Further text the module needs at the end of the file.
    pub(super) cores: Option<String>,
    /// Registers are part of this module, not instances.
    pub(super) inlines_registers: bool,
}

/// How a signal is driven.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    /// A child, an `assign` or the surroundings.
    Net,
    /// An `always` or `initial` block.
    Procedure,
}

pub(super) fn build(
    atoms: &[AtomInfo],
    enumerations: &[Enumeration],
    instances: &[Instance],
    code: &Verilog,
) -> Result<Body, Vec<Problem>> {
    let symbols = symbols(atoms, enumerations, instances);
    let mut names = Names::default();
    // A block's registers are part of its module.
    let inlines_registers = matches!(code, Verilog::Combinatorial(_));
    let is_inline = |instance: &&Instance| instance.register.is_some() && inlines_registers;
    let mut register_names = BTreeMap::new();
    for instance in instances.iter().filter(is_inline) {
        let q = symbols.find(&format!("{}$q", instance.name));
        register_names.extend(q.map(|id| (id, instance.name.clone())));
    }
    // Ports keep their names before all others.
    let mut verilog_names = vec![String::new(); symbols.list.len()];
    let rank = |role: &Role| match role {
        Role::Input | Role::Output => 0,
        Role::Constant(_) | Role::EnumValue { .. } => 1,
        Role::Local => 2,
        Role::ChildInput | Role::ChildOutput => 3,
    };
    for pass in 0..=3 {
        for (id, symbol) in symbols.list.iter().enumerate().filter(|(_, symbol)| rank(&symbol.role) == pass) {
            if let Some(name) = register_names.get(&id) {
                verilog_names[id] = names.claim(name);
            } else {
                verilog_names[id] = names.claim(&symbol.name);
            }
        }
    }
    let instance_names: Vec<String> = instances
        .iter()
        .map(|instance| if is_inline(&instance) { String::new() } else { names.claim(&instance.name) })
        .collect();

    let ports = ports_of(atoms);
    let mut module = Module {
        symbols: &symbols,
        names: verilog_names,
        instances,
        instance_names,
        registers: instances
            .iter()
            .filter(is_inline)
            .filter_map(|instance| Register::of(instance, &symbols))
            .collect(),
        drivers: BTreeMap::new(),
        declared: vec![true; symbols.list.len()],
        connections: BTreeMap::new(),
        logic: Lines::default(),
        ends_with_block: false,
        used: BTreeSet::new(),
    };
    let mut cores = None;
    match code {
        Verilog::Combinatorial(block) => {
            let mut resolver = Resolver::new(&symbols);
            let statements = resolver.block(block);
            let mut problems = resolver.problems;
            let printer = Printer { symbols: &symbols, names: None };
            let mut linter = Linter { symbols: &symbols, printer: &printer, problems: Vec::new() };
            linter.block(&statements);
            problems.append(&mut linter.problems);
            if !problems.is_empty() {
                return Err(problems);
            }
            module.combinational(statements)?;
        }
        Verilog::Custom(text) => module.custom(text)?,
        Verilog::Wrapper(wrapper) => {
            module.custom(&wrapper.code)?;
            cores = Some(wrapper.cores.clone());
        }
        Verilog::Empty => module.check_driven(&|_| false, &vec![false; symbols.list.len()])?,
        Verilog::Blackbox(blackbox) => cores = Some(blackbox.code.clone()),
    }
    let text = module.text(&ports);
    Ok(Body { ports, text, cores, inlines_registers })
}

/// The ports among `atoms`, which claim their names before anything else in the module.
pub(super) fn ports_of(atoms: &[AtomInfo]) -> Vec<Port> {
    let mut names = Names::default();
    atoms
        .iter()
        .filter_map(|atom| {
            let direction = match atom.kind {
                AtomKind::InputParameter => PortDirection::Input,
                AtomKind::InOutParameter => PortDirection::InOut,
                AtomKind::OutputParameter | AtomKind::OutputPassthrough => PortDirection::Output,
                _ => return None,
            };
            let original_name = atom.name.clone();
            Some(Port {
                name: names.claim(&atom.name),
                original_name,
                width: atom.width,
                is_signed: atom.signed,
                direction,
            })
        })
        .collect()
}

fn symbols(atoms: &[AtomInfo], enumerations: &[Enumeration], instances: &[Instance]) -> Symbols {
    let mut symbols = Symbols::default();
    for atom in atoms {
        let role = match atom.kind {
            AtomKind::InputParameter => Role::Input,
            AtomKind::OutputParameter | AtomKind::OutputPassthrough => Role::Output,
            // Its link is an output that is just the child's, which joins the two nets into one.
            AtomKind::InOutParameter => Role::Output,
            AtomKind::Constant => Role::Constant(atom.value.clone().unwrap_or_else(|| 0.into())),
            AtomKind::LocalSignal | AtomKind::StubInputSignal | AtomKind::StubOutputSignal => Role::Local,
        };
        symbols.add(Symbol { name: atom.name.clone(), width: atom.width, signed: atom.signed, role });
    }
    for instance in instances {
        for port in instance.ports {
            let role = match port.direction {
                PortDirection::Input => Role::ChildInput,
                PortDirection::Output | PortDirection::InOut => Role::ChildOutput,
            };
            let name = format!("{}${}", instance.name, port.original_name);
            symbols.add(Symbol { name, width: port.width, signed: port.is_signed, role });
        }
    }
    for enumeration in enumerations.iter().chain(instances.iter().flat_map(|instance| instance.enumerations))
    {
        for (value, name) in enumeration.values.iter().enumerate() {
            let role = Role::EnumValue {
                enumeration: enumeration.name.clone(),
                value,
                variants: enumeration.values.len(),
            };
            symbols.add(Symbol { name: name.clone(), width: enumeration.width, signed: false, role });
        }
    }
    symbols
}

/// A register of a block, as part of its module.
struct Register {
    d: SignalId,
    q: SignalId,
    clock: SignalId,
    reset: Literal,
}

impl Register {
    fn of(instance: &Instance, symbols: &Symbols) -> Option<Self> {
        let port = |port: &str| symbols.find(&format!("{}${port}", instance.name));
        Some(Self { d: port("d")?, q: port("q")?, clock: port("clock")?, reset: instance.register?.clone() })
    }
}

struct Module<'a> {
    symbols: &'a Symbols,
    names: Vec<String>,
    instances: &'a [Instance<'a>],
    /// Empty for a register.
    instance_names: Vec<String>,
    registers: Vec<Register>,
    drivers: BTreeMap<SignalId, Driver>,
    /// Signals that need a declaration.
    declared: Vec<bool>,
    /// What a child's port is connected to when it has no wire of its own.
    connections: BTreeMap<SignalId, String>,
    logic: Lines,
    /// The last thing in `logic` is an `always` block.
    ends_with_block: bool,
    /// Constants and locals in use.
    used: BTreeSet<SignalId>,
}

impl Module<'_> {
    fn printer(&self) -> Printer<'_> {
        Printer { symbols: self.symbols, names: Some(&self.names) }
    }

    fn check_driven(
        &self,
        is_driven: &dyn Fn(SignalId) -> bool,
        is_read: &[bool],
    ) -> Result<(), Vec<Problem>> {
        let problems = undriven(self.symbols, is_driven, is_read);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    fn custom(&mut self, text: &str) -> Result<(), Vec<Problem>> {
        let names: HashMap<&str, &str> = self
            .symbols
            .list
            .iter()
            .zip(&self.names)
            .map(|(symbol, name)| (symbol.name.as_str(), name.as_str()))
            .collect();
        let custom = custom::translate(text, &names);
        let is_mentioned = |id: SignalId| custom.mentioned.contains(&self.symbols[id].name);
        self.check_driven(&is_mentioned, &vec![false; self.symbols.list.len()])?;
        for (id, symbol) in self.symbols.list.iter().enumerate() {
            if is_mentioned(id) {
                self.used.insert(id);
            }
            let is_procedural = custom.procedural.contains(&symbol.name);
            self.drivers.insert(id, if is_procedural { Driver::Procedure } else { Driver::Net });
        }
        for line in custom.text.trim_matches('\n').lines() {
            self.logic.push(1, line.trim_end());
        }
        Ok(())
    }

    fn combinational(&mut self, mut statements: Vec<Statement>) -> Result<(), Vec<Problem>> {
        remove_overwritten(&mut statements);
        let groups = Groups::of(&statements, self.symbols);
        let mut is_read = vec![false; self.symbols.list.len()];
        for statement in &statements {
            statement.reads(&mut |id| is_read[id] = true);
        }
        self.check_driven(&|id| groups.of_signal.contains_key(&id), &is_read)?;
        let mut paths =
            PathCheck { symbols: self.symbols, group_of: &groups.of_signal, problems: Vec::new() };
        let grouped: Vec<(usize, &Statement)> =
            groups.of_statement.iter().copied().zip(&statements).collect();
        paths.check(&grouped);
        if !paths.problems.is_empty() {
            return Err(paths.problems);
        }
        self.used.extend(is_read.iter().enumerate().filter(|(_, read)| **read).map(|(id, _)| id));
        self.used.extend(groups.of_signal.keys());
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, group) in groups.of_statement.iter().enumerate() {
            members.entry(*group).or_default().push(number);
        }
        let assigns: Vec<Option<usize>> = members
            .values()
            .map(|numbers| match numbers.as_slice() {
                [only] if matches!(statements[*only], Statement::Assign { .. }) => Some(*only),
                _ => None,
            })
            .collect();
        self.drivers.extend(self.registers.iter().map(|register| (register.q, Driver::Procedure)));
        self.alias_outputs(&statements, &assigns);
        let loose = self.loose_pins();
        if !loose.is_empty() {
            return Err(loose);
        }
        self.connect_inputs(&statements, &assigns, &is_read);
        for numbers in members.values() {
            let group: Vec<&Statement> = numbers.iter().map(|number| &statements[*number]).collect();
            self.group(&group);
        }
        Ok(())
    }

    /// An output that is just a child's output: the child drives the port itself.
    fn alias_outputs(&mut self, statements: &[Statement], assigns: &[Option<usize>]) {
        let mut aliased = BTreeSet::new();
        for number in assigns.iter().flatten() {
            let Statement::Assign { target, value: Expr::Signal(source) } = &statements[*number] else {
                continue;
            };
            let is_alias = self.symbols[*target].role == Role::Output
                && !self.registers.iter().any(|register| register.q == *source)
                && self.symbols[*source].role == Role::ChildOutput
                && self.symbols[*target].signed == self.symbols[*source].signed;
            if is_alias && aliased.insert(*source) {
                self.names[*source] = self.names[*target].clone();
                self.declared[*source] = false;
                self.connections.insert(*target, String::new());
            }
        }
    }

    /// Inout ports of children that are not one net with a port of this block.
    fn loose_pins(&self) -> Vec<Problem> {
        let pins = self.instances.iter().flat_map(|instance| {
            let ports = instance.ports.iter().filter(|port| port.direction == PortDirection::InOut);
            ports.map(move |port| format!("{}${}", instance.name, port.original_name))
        });
        let is_loose = |name: &String| self.symbols.find(name).is_some_and(|id| self.declared[id]);
        pins.filter(is_loose).map(Problem::Bidirectional).collect()
    }

    /// A child's input that is just a signal, a number or part of a signal is connected to it directly.
    fn connect_inputs(&mut self, statements: &[Statement], assigns: &[Option<usize>], is_read: &[bool]) {
        let register_inputs: BTreeSet<SignalId> = self.registers.iter().map(|register| register.d).collect();
        for number in assigns.iter().flatten() {
            let Statement::Assign { target, value } = &statements[*number] else {
                continue;
            };
            let is_plain = matches!(value, Expr::Signal(_) | Expr::Literal(_))
                || matches!(value, Expr::Index(..) | Expr::Slice(..) | Expr::Cast(..))
                || register_inputs.contains(target);
            if self.symbols[*target].role == Role::ChildInput && is_plain && !is_read[*target] {
                let text = self.printer().expression(value, self.symbols[*target].width);
                self.connections.insert(*target, text);
                self.declared[*target] = false;
            }
        }
    }

    /// One set of signals that are driven together.
    fn group(&mut self, group: &[&Statement]) {
        let mut targets = BTreeSet::new();
        let mut reads = false;
        for statement in group {
            statement.writes(&mut |id| {
                targets.insert(id);
            });
            statement.reads(&mut |id| reads |= !is_number(&self.symbols[id].role));
        }
        let assignments: Vec<&Statement> = group
            .iter()
            .copied()
            .filter(|statement| matches!(statement, Statement::Assign { .. } | Statement::AssignSlice { .. }))
            .collect();
        let are_parts = !assignments.is_empty()
            && assignments.len() == group.len()
            && assignments.iter().all(|statement| matches!(statement, Statement::AssignSlice { .. }))
            && targets.len() == 1
            && self.parts_are_distinct(&assignments);
        let as_nets: Vec<&Statement> = if assignments.len() == 1 && group.len() == 1 || are_parts {
            assignments
        } else if !reads && assignments.len() == group.len() {
            // Nothing but numbers: a block that waits for a change would never run. The last value holds.
            targets
                .iter()
                .filter_map(|id| {
                    let of_target = |statement: &&&Statement| matches!(statement, Statement::Assign { target, .. } if target == id);
                    assignments.iter().rev().find(of_target).copied()
                })
                .collect()
        } else {
            Vec::new()
        };
        if as_nets.is_empty() {
            if targets.is_empty() {
                for statement in group {
                    if let Statement::Comment(text) = statement {
                        text.lines().for_each(|line| self.logic.push(1, &format!("// {line}")));
                    }
                }
                return;
            }
            self.drivers.extend(targets.iter().map(|id| (*id, Driver::Procedure)));
            let statements: Vec<Statement> = group.iter().map(|statement| (*statement).clone()).collect();
            let mut lines = Lines::default();
            if !self.logic.text.is_empty() {
                lines.push(0, "");
            }
            lines.push(1, "always @(*) begin");
            self.printer().statements(&statements, 2, &mut lines);
            lines.push(1, "end");
            self.logic.text.push_str(&lines.text);
            self.ends_with_block = true;
            return;
        }
        for id in &targets {
            self.drivers.insert(*id, Driver::Net);
        }
        for statement in as_nets {
            if let Statement::Assign { target, .. } = statement {
                if self.connections.contains_key(target) {
                    continue;
                }
            }
            if let Some(text) = self.printer().assignment(statement) {
                if std::mem::take(&mut self.ends_with_block) {
                    self.logic.push(0, "");
                }
                self.logic.push(1, &format!("assign {text};"));
            }
        }
    }

    fn parts_are_distinct(&self, assignments: &[&Statement]) -> bool {
        let mut seen = BTreeSet::new();
        assignments.iter().all(|statement| match statement {
            Statement::AssignSlice { offset, width, .. } => {
                (*offset..offset + width).all(|bit| seen.insert(bit))
            }
            _ => false,
        })
    }

    /// `kind` with sign and range.
    fn kind(&self, id: SignalId, kind: &str) -> String {
        let symbol = &self.symbols[id];
        let signed = if symbol.signed { " signed" } else { "" };
        let range = if symbol.width == 1 { String::new() } else { format!(" [{}:0]", symbol.width - 1) };
        format!("{kind}{signed}{range}")
    }

    fn net_or_register(&self, id: SignalId) -> &'static str {
        match self.drivers.get(&id) {
            Some(Driver::Procedure) => "reg",
            _ => "wire",
        }
    }

    fn text(&self, ports: &[Port]) -> String {
        let mut out = Lines::default();
        if ports.is_empty() {
            out.push(0, "();");
        } else {
            out.push(0, "(");
            self.port_list(ports, &mut out);
            out.push(0, ");");
        }
        let (constants, signals) = self.declarations();
        let mut children = Lines::default();
        for (instance, name) in self.instances.iter().zip(&self.instance_names) {
            if !name.is_empty() {
                self.instance(instance, name, &mut children);
            }
        }
        // A short module has no blank lines.
        let sections =
            [constants.text, signals.text, children.text, self.logic.text.clone(), self.register_text()];
        let filled: Vec<&String> = sections.iter().filter(|text| !text.is_empty()).collect();
        let lines: usize = filled.iter().map(|text| text.lines().count()).sum();
        for (number, text) in filled.iter().enumerate() {
            if lines > 12 && (number > 0 || ports.len() > 4) {
                out.push(0, "");
            }
            out.text.push_str(text);
        }
        out.push(0, "endmodule");
        out.text
    }

    /// One line for each port, or for each array of ports.
    fn port_list(&self, ports: &[Port], out: &mut Lines) {
        let mut lines: Vec<(String, &str, String)> = Vec::new();
        for port in ports {
            let Some(id) = self.symbols.find(&port.original_name) else {
                continue;
            };
            let kind = match port.direction {
                PortDirection::Input => "input wire".to_owned(),
                PortDirection::Output => format!("output {}", self.net_or_register(id)),
                PortDirection::InOut => "inout wire".to_owned(),
            };
            let kind = self.kind(id, &kind);
            let array = array_of(&port.original_name);
            match lines.last_mut() {
                Some(last) if last.0 == kind && array.is_some() && Some(last.1) == array => {
                    last.2 += &format!(", {}", port.name);
                }
                _ => lines.push((kind, array.unwrap_or(""), port.name.clone())),
            }
        }
        for (number, (kind, _, names)) in lines.iter().enumerate() {
            let comma = if number + 1 == lines.len() { "" } else { "," };
            out.push(1, &format!("{kind} {names}{comma}"));
        }
    }

    /// Numbers with names, then signals; neighbours of one kind share a line.
    fn declarations(&self) -> (Lines, Lines) {
        let (mut constants, mut signals) = (Lines::default(), Lines::default());
        let mut line: Option<(String, Option<&str>, String)> = None;
        for (id, symbol) in self.symbols.list.iter().enumerate() {
            let name = &self.names[id];
            let value = match &symbol.role {
                Role::Constant(literal) => literal.clone(),
                Role::EnumValue { value, .. } => (*value as u64).into(),
                Role::Local | Role::ChildInput | Role::ChildOutput => {
                    if !self.declared[id] || (symbol.role == Role::Local && !self.used.contains(&id)) {
                        continue;
                    }
                    let kind = self.kind(id, self.net_or_register(id));
                    // Locals stand alone; the ports of one child and the parts of one array share a line.
                    let owner = if symbol.role == Role::Local {
                        array_of(&symbol.name)
                    } else {
                        owner_of(&symbol.name)
                    };
                    match &mut line {
                        Some(last) if owner.is_some() && last.0 == kind && last.1 == owner => {
                            last.2 += &format!(", {name}");
                        }
                        _ => {
                            flush(&mut line, &mut signals);
                            line = Some((kind, owner, name.clone()));
                        }
                    }
                    continue;
                }
                Role::Input | Role::Output => continue,
            };
            if self.used.contains(&id) {
                let kind = self.kind(id, "localparam");
                constants.push(1, &format!("{kind} {name} = {};", value.print(symbol.width)));
            }
        }
        flush(&mut line, &mut signals);
        (constants, signals)
    }

    /// The registers of each clock.
    fn register_text(&self) -> String {
        let mut clocks: Vec<(&str, Lines)> = Vec::new();
        let source = |id: SignalId| self.connections.get(&id).map_or(self.names[id].as_str(), String::as_str);
        for register in &self.registers {
            let clock = source(register.clock);
            let number = clocks.iter().position(|known| known.0 == clock).unwrap_or_else(|| {
                clocks.push((clock, Lines::default()));
                clocks.len() - 1
            });
            clocks[number].1.push(2, &format!("{} <= {};", self.names[register.q], source(register.d)));
        }
        let mut out = Lines::default();
        self.initial_values(&mut out);
        for (clock, lines) in clocks {
            out.push(1, &format!("always @(posedge {clock}) begin"));
            out.text.push_str(&lines.text);
            out.push(1, "end");
        }
        out.text
    }

    /// What registers hold at power-up: zero for most.
    fn initial_values(&self, out: &mut Lines) {
        let is_zero = |register: &&Register| register.reset.value() == Some(0);
        let zero: Vec<&Register> = self.registers.iter().filter(is_zero).collect();
        let width: usize = zero.iter().map(|register| self.symbols[register.q].width).sum();
        let names: Vec<&str> = zero.iter().map(|register| self.names[register.q].as_str()).collect();
        match names.as_slice() {
            [] => {}
            [name] => out.push(1, &format!("initial {name} = {width}'d0;")),
            names => out.push(1, &format!("initial {{{}}} = {width}'d0;", names.join(", "))),
        }
        for register in self.registers.iter().filter(|register| !is_zero(register)) {
            let value = register.reset.print(self.symbols[register.q].width);
            out.push(1, &format!("initial {} = {value};", self.names[register.q]));
        }
    }

    fn instance(&self, instance: &Instance, name: &str, out: &mut Lines) {
        let mut connections: Vec<(Option<&str>, String)> = Vec::new();
        for port in instance.ports {
            let id = self.symbols.find(&format!("{}${}", instance.name, port.original_name));
            let value = id.map_or("", |id| match self.connections.get(&id) {
                Some(text) => text,
                None => &self.names[id],
            });
            let text = format!(".{}({value})", port.name);
            let array = array_of(&port.original_name);
            match connections.last_mut() {
                Some(last) if array.is_some() && last.0 == array => last.1 += &format!(", {text}"),
                _ => connections.push((array, text)),
            }
        }
        let texts: Vec<&str> = connections.iter().map(|connection| connection.1.as_str()).collect();
        let short = format!("{} {name} ({});", instance.module_name, texts.join(", "));
        if short.len() + 4 <= LINE_WIDTH {
            out.push(1, &short);
            return;
        }
        out.push(1, &format!("{} {name} (", instance.module_name));
        for (number, text) in texts.iter().enumerate() {
            let comma = if number + 1 == texts.len() { "" } else { "," };
            out.push(2, &format!("{text}{comma}"));
        }
        out.push(1, ");");
    }
}

/// Writes a collected declaration.
fn flush(line: &mut Option<(String, Option<&str>, String)>, out: &mut Lines) {
    if let Some((kind, _, names)) = line.take() {
        out.push(1, &format!("{kind} {names};"));
    }
}

/// `words` for `words$3`.
fn array_of(name: &str) -> Option<&str> {
    let (array, index) = name.rsplit_once('$')?;
    index.bytes().all(|digit| digit.is_ascii_digit()).then_some(array)
}

/// The child a port belongs to, an array of children counting as one.
fn owner_of(name: &str) -> Option<&str> {
    Some(name.split_once('$')?.0)
}

/// Removes defaults that a later statement always replaces before anything reads them.
fn remove_overwritten(statements: &mut Vec<Statement>) {
    let mut unread: BTreeMap<SignalId, usize> = BTreeMap::new();
    let mut is_dead = vec![false; statements.len()];
    for (number, statement) in statements.iter().enumerate() {
        statement.reads(&mut |id| {
            unread.remove(&id);
        });
        if let Statement::Assign { target, .. } = statement {
            if let Some(earlier) = unread.insert(*target, number) {
                is_dead[earlier] = true;
            }
        } else {
            statement.writes(&mut |id| {
                unread.remove(&id);
            });
        }
    }
    let mut number = 0;
    statements.retain(|_| {
        number += 1;
        !is_dead[number - 1]
    });
}

/// Which top-level statements have to stay together in one `always` block.
///
/// Statements that drive a common signal belong together, and so does a statement that reads a signal between two
/// statements that drive it (it sees the value on the way). Everything else sees final values, in Rust after the
/// simulator settles and in Verilog by the meaning of a net.
struct Groups {
    of_statement: Vec<usize>,
    of_signal: BTreeMap<SignalId, usize>,
}

impl Groups {
    fn of(statements: &[Statement], symbols: &Symbols) -> Self {
        let mut parent: Vec<usize> = (0..statements.len()).collect();
        let mut span: Vec<Option<(usize, usize)>> = vec![None; symbols.list.len()];
        for (number, statement) in statements.iter().enumerate() {
            statement.writes(&mut |id| match &mut span[id] {
                Some((first, last)) => {
                    *last = number;
                    union(&mut parent, *first, number);
                }
                empty => *empty = Some((number, number)),
            });
        }
        for (number, statement) in statements.iter().enumerate() {
            statement.reads(&mut |id| {
                if let Some((first, last)) = span[id] {
                    if first < number && number < last {
                        union(&mut parent, first, number);
                    }
                }
            });
        }
        // A comment belongs to what follows it.
        for number in (0..statements.len().saturating_sub(1)).rev() {
            if matches!(statements[number], Statement::Comment(_)) {
                union(&mut parent, number, number + 1);
            }
        }
        let of_statement: Vec<usize> =
            (0..statements.len()).map(|number| root(&mut parent, number)).collect();
        let of_signal = span
            .iter()
            .enumerate()
            .filter_map(|(id, span)| span.map(|(first, _)| (id, of_statement[first])))
            .collect();
        Self { of_statement, of_signal }
    }
}

fn root(parent: &mut [usize], mut number: usize) -> usize {
    while parent[number] != number {
        parent[number] = parent[parent[number]];
        number = parent[number];
    }
    number
}

/// The smaller root stays, so that groups are in the order of their first statement.
fn union(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}
