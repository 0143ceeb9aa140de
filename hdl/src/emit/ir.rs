//! The emitter's own form of a block's update code: names resolved, loops unrolled, array indices computed.
use rust_hdl_core::ast::{
    VerilogBlock, VerilogBlockOrConditional, VerilogExpression, VerilogLink, VerilogLinkDetails, VerilogOp,
    VerilogOpUnary, VerilogStatement,
};
use rust_hdl_core::prelude::VerilogLiteral;
use std::collections::HashMap;

use super::lint::Problem;

/// Index into [`Symbols`].
pub(super) type SignalId = usize;

/// What a name of a module stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Input,
    Output,
    Local,
    /// The input of a child: driven here.
    ChildInput,
    /// The output of a child: read here.
    ChildOutput,
    Constant(Literal),
    /// A value of an enumeration, its number among them and how many there are.
    EnumValue {
        enumeration: String,
        value: usize,
        variants: usize,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Symbol {
    /// As rust-hdl has it.
    pub(super) name: String,
    pub(super) width: usize,
    pub(super) signed: bool,
    pub(super) role: Role,
}

/// Every name a module's code may use.
#[derive(Default)]
pub(super) struct Symbols {
    pub(super) list: Vec<Symbol>,
    by_name: HashMap<String, SignalId>,
}

impl Symbols {
    pub(super) fn add(&mut self, symbol: Symbol) {
        if !self.by_name.contains_key(&symbol.name) {
            self.by_name.insert(symbol.name.clone(), self.list.len());
            self.list.push(symbol);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<SignalId> {
        if let Some(id) = self.by_name.get(name) {
            return Some(*id);
        }
        // A path to an enumeration's value may be longer than `Type::Value`.
        let mut parts = name.rsplit('$');
        let (value, enumeration) = (parts.next()?, parts.next()?);
        let id = *self.by_name.get(&format!("{enumeration}${value}"))?;
        matches!(self.list[id].role, Role::EnumValue { .. }).then_some(id)
    }
}

impl std::ops::Index<SignalId> for Symbols {
    type Output = Symbol;
    fn index(&self, id: SignalId) -> &Symbol {
        &self.list[id]
    }
}

/// A number without a sign, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    digits: String,
}

impl Literal {
    pub(super) fn value(&self) -> Option<u64> {
        u64::from_str_radix(&self.digits, 16).ok()
    }

    /// Bits the number needs.
    pub(super) fn bits(&self) -> usize {
        let first = self.digits.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or(0);
        4 * (self.digits.len() - 1) + (32 - first.leading_zeros() as usize)
    }

    /// The number as a Verilog literal of `width` bits.
    pub(super) fn print(&self, width: usize) -> String {
        match self.value() {
            Some(value) if width == 1 => format!("1'b{value}"),
            Some(value) if value < 1 << 16 => format!("{width}'d{value}"),
            _ => format!("{width}'h{}", self.digits),
        }
    }
}

impl From<u64> for Literal {
    fn from(value: u64) -> Self {
        Self { digits: format!("{value:x}") }
    }
}

impl Literal {
    /// None for a negative number.
    pub(super) fn from_ast(literal: &VerilogLiteral) -> Option<Self> {
        let text = format!("{literal:x}");
        Self::from_hexadecimal(text.split_once("'h")?.1)
    }

    pub(super) fn from_hexadecimal(digits: &str) -> Option<Self> {
        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        Some(Self { digits: if digits.is_empty() { "0" } else { digits }.to_owned() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    LogicalAnd,
    LogicalOr,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub(super) fn text(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::And => "&",
            Op::Or => "|",
            Op::Xor => "^",
            Op::LogicalAnd => "&&",
            Op::LogicalOr => "||",
            Op::Shl => "<<",
            Op::Shr => ">>",
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    pub(super) fn is_arithmetic(self) -> bool {
        matches!(self, Op::Add | Op::Sub | Op::Mul)
    }

    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }

    pub(super) fn is_shift(self) -> bool {
        matches!(self, Op::Shl | Op::Shr)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Neg,
    All,
    Any,
    Xor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Signal(SignalId),
    Literal(Literal),
    /// To this many bits.
    Cast(Box<Expr>, usize),
    Signed(Box<Expr>),
    Unsigned(Box<Expr>),
    Binary(Box<Expr>, Op, Box<Expr>),
    Unary(Unary, Box<Expr>),
    Index(Box<Expr>, Box<Expr>),
    /// Value, width, offset.
    Slice(Box<Expr>, usize, Box<Expr>),
    /// Value, index, bit.
    ReplaceBit(Box<Expr>, Box<Expr>, Box<Expr>),
    /// What could not be resolved; reported where it was found.
    Unknown,
}

impl Expr {
    pub(super) fn literal(&self) -> Option<u64> {
        match self {
            Expr::Literal(literal) => literal.value(),
            Expr::Cast(inner, _) => inner.literal(),
            _ => None,
        }
    }

    /// None for a number, which takes the width of what it meets.
    pub(super) fn width(&self, symbols: &Symbols) -> Option<usize> {
        match self {
            Expr::Signal(id) => Some(symbols[*id].width),
            Expr::Literal(_) | Expr::Unknown => None,
            Expr::Cast(_, width) | Expr::Slice(_, width, _) => Some(*width),
            Expr::Signed(inner) | Expr::Unsigned(inner) | Expr::ReplaceBit(inner, _, _) => {
                inner.width(symbols)
            }
            Expr::Binary(_, op, _) if op.is_comparison() => Some(1),
            Expr::Binary(_, Op::LogicalAnd | Op::LogicalOr, _) => Some(1),
            Expr::Binary(left, Op::Mul, right) => Some(left.width(symbols)? + right.width(symbols)?),
            Expr::Binary(left, op, right) => {
                left.width(symbols).or_else(|| if op.is_shift() { None } else { right.width(symbols) })
            }
            Expr::Unary(Unary::Not | Unary::Neg, inner) => inner.width(symbols),
            Expr::Unary(..) | Expr::Index(..) => Some(1),
        }
    }

    pub(super) fn is_signed(&self, symbols: &Symbols) -> bool {
        match self {
            Expr::Signal(id) => symbols[*id].signed,
            Expr::Signed(_) => true,
            Expr::Binary(left, op, right) if !op.is_comparison() => {
                left.is_signed(symbols) && right.is_signed(symbols)
            }
            Expr::Unary(Unary::Neg, inner) => inner.is_signed(symbols),
            _ => false,
        }
    }

    /// Calls `visit` with every signal read here.
    pub(super) fn reads(&self, visit: &mut dyn FnMut(SignalId)) {
        match self {
            Expr::Signal(id) => visit(*id),
            Expr::Literal(_) | Expr::Unknown => {}
            Expr::Cast(inner, _) | Expr::Signed(inner) | Expr::Unsigned(inner) | Expr::Unary(_, inner) => {
                inner.reads(visit);
            }
            Expr::Binary(a, _, b) | Expr::Index(a, b) | Expr::Slice(a, _, b) => {
                a.reads(visit);
                b.reads(visit);
            }
            Expr::ReplaceBit(a, b, c) => {
                a.reads(visit);
                b.reads(visit);
                c.reads(visit);
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Statement {
    Assign {
        target: SignalId,
        value: Expr,
    },
    /// Part of a structure.
    AssignSlice {
        target: SignalId,
        offset: usize,
        width: usize,
        value: Expr,
    },
    If {
        test: Expr,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    Match {
        test: Expr,
        arms: Vec<(Pattern, Vec<Statement>)>,
        /// Every value of the test has an arm, if only a `_` one.
        exhaustive: bool,
    },
    Comment(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Value(Expr),
    Default,
}

impl Statement {
    pub(super) fn writes(&self, visit: &mut dyn FnMut(SignalId)) {
        match self {
            Statement::Assign { target, .. } | Statement::AssignSlice { target, .. } => visit(*target),
            Statement::If { then, otherwise, .. } => {
                then.iter().chain(otherwise).for_each(|statement| statement.writes(visit));
            }
            Statement::Match { arms, .. } => {
                arms.iter().flat_map(|arm| &arm.1).for_each(|statement| statement.writes(visit));
            }
            Statement::Comment(_) => {}
        }
    }

    pub(super) fn reads(&self, visit: &mut dyn FnMut(SignalId)) {
        match self {
            Statement::Assign { value, .. } | Statement::AssignSlice { value, .. } => value.reads(visit),
            Statement::If { test, then, otherwise } => {
                test.reads(visit);
                then.iter().chain(otherwise).for_each(|statement| statement.reads(visit));
            }
            Statement::Match { test, arms, .. } => {
                test.reads(visit);
                arms.iter().flat_map(|arm| &arm.1).for_each(|statement| statement.reads(visit));
            }
            Statement::Comment(_) => {}
        }
    }
}

/// Resolves a block's code against its names. What cannot be resolved ends up in `problems`.
pub(super) struct Resolver<'a> {
    symbols: &'a Symbols,
    loops: Vec<(String, u64)>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(symbols: &'a Symbols) -> Self {
        Self { symbols, loops: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn block(&mut self, block: &VerilogBlock) -> Vec<Statement> {
        let mut statements = Vec::new();
        self.block_into(block, &mut statements);
        statements
    }

    fn block_into(&mut self, block: &VerilogBlock, into: &mut Vec<Statement>) {
        for statement in block {
            self.statement(statement, into);
        }
    }

    fn statement(&mut self, statement: &VerilogStatement, into: &mut Vec<Statement>) {
        match statement {
            VerilogStatement::Assignment(target, value) => {
                let value = self.expression(value);
                if let Some(target) = self.target(target) {
                    into.push(Statement::Assign { target, value });
                }
            }
            VerilogStatement::SliceAssignment { base, width, offset, replacement } => {
                let value = self.expression(replacement);
                let offset = self.expression(offset).literal();
                let (Some(target), Some(offset)) = (self.target(base), offset) else {
                    self.problems.push(Problem::DynamicSliceAssignment);
                    return;
                };
                into.push(Statement::AssignSlice { target, offset: offset as usize, width: *width, value });
            }
            VerilogStatement::If(condition) => {
                let test = self.expression(&condition.test);
                // A comparison of loop variables and numbers is decided here.
                match test.literal() {
                    Some(0) => self.otherwise_into(&condition.otherwise, into),
                    Some(_) => self.block_into(&condition.then, into),
                    None => {
                        let then = self.block(&condition.then);
                        let mut otherwise = Vec::new();
                        self.otherwise_into(&condition.otherwise, &mut otherwise);
                        into.push(Statement::If { test, then, otherwise });
                    }
                }
            }
            VerilogStatement::Match(choice) => {
                let test = self.expression(&choice.test);
                let arms: Vec<_> = choice
                    .cases
                    .iter()
                    .map(|case| (self.pattern(&case.condition), self.block(&case.block)))
                    .collect();
                let exhaustive = self.is_exhaustive(&test, &arms);
                into.push(Statement::Match { test, arms, exhaustive });
            }
            VerilogStatement::Loop(repeat) => {
                for value in repeat.from.as_usize()..repeat.to.as_usize() {
                    self.loops.push((repeat.index.clone(), value as u64));
                    self.block_into(&repeat.block, into);
                    self.loops.pop();
                }
            }
            VerilogStatement::Comment(text) => into.push(Statement::Comment(text.clone())),
            VerilogStatement::Macro(block) => self.block_into(block, into),
            VerilogStatement::Link(links) => links.iter().for_each(|link| self.link(link, into)),
        }
    }

    fn otherwise_into(&mut self, otherwise: &VerilogBlockOrConditional, into: &mut Vec<Statement>) {
        match otherwise {
            VerilogBlockOrConditional::Block(block) => self.block_into(block, into),
            VerilogBlockOrConditional::Conditional(statement) => self.statement(statement, into),
            VerilogBlockOrConditional::None => {}
        }
    }

    fn link(&mut self, link: &VerilogLink, into: &mut Vec<Statement>) {
        let name = |details: &VerilogLinkDetails, owner: &str| match details.my_name.trim_start_matches('.') {
            "" => owner.to_owned(),
            field => format!("{owner}${field}"),
        };
        let (target, source) = match link {
            VerilogLink::Forward(details) => {
                (name(details, &details.other_name), name(details, &details.owner_name))
            }
            VerilogLink::Backward(details) | VerilogLink::Bidirectional(details) => {
                (name(details, &details.owner_name), name(details, &details.other_name))
            }
        };
        let value = self.expression(&VerilogExpression::Signal(source));
        if let Some(target) = self.target(&VerilogExpression::Signal(target)) {
            into.push(Statement::Assign { target, value });
        }
    }

    fn is_exhaustive(&self, test: &Expr, arms: &[(Pattern, Vec<Statement>)]) -> bool {
        if arms.iter().any(|arm| arm.0 == Pattern::Default) {
            return true;
        }
        let values = arms.len();
        let enumeration = arms.iter().find_map(|arm| match &arm.0 {
            Pattern::Value(Expr::Signal(id)) => match &self.symbols[*id].role {
                Role::EnumValue { variants, .. } => Some(*variants),
                _ => None,
            },
            _ => None,
        });
        match (enumeration, test.width(self.symbols)) {
            (Some(variants), _) => values >= variants,
            (None, Some(width)) => width < 16 && values >= 1 << width,
            (None, None) => false,
        }
    }

    fn pattern(&mut self, condition: &str) -> Pattern {
        if condition == "default" || condition == "_" {
            return Pattern::Default;
        }
        if let Some(value) = parse_number(condition) {
            return Pattern::Value(Expr::Literal(value.into()));
        }
        Pattern::Value(self.signal(condition))
    }

    fn target(&mut self, target: &VerilogExpression) -> Option<SignalId> {
        match self.expression(target) {
            Expr::Signal(id) => match self.symbols[id].role {
                Role::Input => {
                    self.problems.push(Problem::DrivesInput(self.symbols[id].name.clone()));
                    None
                }
                Role::ChildOutput => {
                    self.problems.push(Problem::DrivesChildOutput(self.symbols[id].name.clone()));
                    None
                }
                Role::Output | Role::Local | Role::ChildInput => Some(id),
                Role::Constant(_) | Role::EnumValue { .. } => None,
            },
            _ => None,
        }
    }

    fn expression(&mut self, expression: &VerilogExpression) -> Expr {
        match expression {
            VerilogExpression::Signal(name) => self.signal(name),
            VerilogExpression::Literal(literal) => match Literal::from_ast(literal) {
                Some(literal) => Expr::Literal(literal),
                None => {
                    self.problems.push(Problem::NegativeLiteral(literal.to_string()));
                    Expr::Unknown
                }
            },
            VerilogExpression::Paren(inner) => self.expression(inner),
            VerilogExpression::Cast(inner, width) => match self.expression(inner) {
                inner if inner.width(self.symbols) == Some(*width) => inner,
                inner => Expr::Cast(Box::new(inner), *width),
            },
            VerilogExpression::Signed(inner) => Expr::Signed(Box::new(self.expression(inner))),
            VerilogExpression::Unsigned(inner) => Expr::Unsigned(Box::new(self.expression(inner))),
            VerilogExpression::Unary(op, inner) => {
                let op = match op {
                    VerilogOpUnary::Not => Unary::Not,
                    VerilogOpUnary::Neg => Unary::Neg,
                    VerilogOpUnary::All => Unary::All,
                    VerilogOpUnary::Any => Unary::Any,
                    VerilogOpUnary::Xor => Unary::Xor,
                };
                Expr::Unary(op, Box::new(self.expression(inner)))
            }
            VerilogExpression::Binary(left, op, right) => {
                fold(self.expression(left), operator(op), self.expression(right))
            }
            VerilogExpression::Index(value, index) => {
                let (value, index) = (self.expression(value), self.expression(index));
                self.slice(value, None, index)
            }
            VerilogExpression::Slice(value, width, offset) => {
                let (value, offset) = (self.expression(value), self.expression(offset));
                self.slice(value, Some(*width), offset)
            }
            VerilogExpression::IndexReplace(value, index, bit) => Expr::ReplaceBit(
                Box::new(self.expression(value)),
                Box::new(self.expression(index)),
                Box::new(self.expression(bit)),
            ),
        }
    }

    /// A part of a part becomes one part, and the only bit of a signal is the signal. `width` None takes one bit.
    fn slice(&mut self, value: Expr, width: Option<usize>, offset: Expr) -> Expr {
        if value.width(self.symbols) == Some(width.unwrap_or(1)) {
            return value;
        }
        let (value, offset) = match (value, offset.literal()) {
            (Expr::Slice(inner, inner_width, inner_offset), Some(outer)) => match inner_offset.literal() {
                Some(inner_offset) => (inner, Expr::Literal((inner_offset + outer).into())),
                None => (Box::new(Expr::Slice(inner, inner_width, inner_offset)), offset),
            },
            (value, _) => (Box::new(value), offset),
        };
        match width {
            None => Expr::Index(value, Box::new(offset)),
            Some(width) => Expr::Slice(value, width, Box::new(offset)),
        }
    }

    fn signal(&mut self, text: &str) -> Expr {
        if let Some((_, value)) = self.loops.iter().rev().find(|(name, _)| name == text) {
            return Expr::Literal((*value).into());
        }
        let name = match self.flat_name(text) {
            Ok(name) => name,
            Err(problem) => {
                self.problems.push(problem);
                return Expr::Unknown;
            }
        };
        match self.symbols.find(&name) {
            Some(id) => Expr::Signal(id),
            None => {
                self.problems.push(Problem::UnknownName(name));
                Expr::Unknown
            }
        }
    }

    /// `a[i+1].b.next` as `a$3$b`.
    fn flat_name(&self, text: &str) -> Result<String, Problem> {
        let mut name = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            name.push_str(&rest[..open]);
            let bad_index = || Problem::BadIndex(text.to_owned());
            let close = rest[open..].find(']').ok_or_else(bad_index)? + open;
            let index = IndexParser { text: &rest.as_bytes()[open + 1..close], at: 0, loops: &self.loops };
            let value = index.parse().filter(|value| *value >= 0).ok_or_else(bad_index)?;
            name.push('$');
            name.push_str(&value.to_string());
            rest = &rest[close + 1..];
        }
        name.push_str(rest);
        let name = name.replace("::", "$").replace('.', "$");
        Ok(name.trim_start_matches('$').trim_end_matches("$next").to_owned())
    }
}

/// A binary operation, computed if both sides are numbers: loop variables are.
fn fold(left: Expr, op: Op, right: Expr) -> Expr {
    let (Expr::Literal(a), Expr::Literal(b)) = (&left, &right) else {
        return Expr::Binary(Box::new(left), op, Box::new(right));
    };
    let (Some(a), Some(b)) = (a.value(), b.value()) else {
        return Expr::Binary(Box::new(left), op, Box::new(right));
    };
    let value = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::And => Some(a & b),
        Op::Or => Some(a | b),
        Op::Xor => Some(a ^ b),
        Op::LogicalAnd => Some(u64::from(a != 0 && b != 0)),
        Op::LogicalOr => Some(u64::from(a != 0 || b != 0)),
        Op::Shl => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
        Op::Shr => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
        Op::Eq => Some(u64::from(a == b)),
        Op::Ne => Some(u64::from(a != b)),
        Op::Lt => Some(u64::from(a < b)),
        Op::Le => Some(u64::from(a <= b)),
        Op::Gt => Some(u64::from(a > b)),
        Op::Ge => Some(u64::from(a >= b)),
    };
    match value {
        Some(value) => Expr::Literal(value.into()),
        None => Expr::Binary(Box::new(left), op, Box::new(right)),
    }
}

fn operator(op: &VerilogOp) -> Op {
    match op {
        VerilogOp::Add => Op::Add,
        VerilogOp::Sub => Op::Sub,
        VerilogOp::Mul => Op::Mul,
        VerilogOp::LogicalAnd => Op::LogicalAnd,
        VerilogOp::LogicalOr => Op::LogicalOr,
        VerilogOp::BitXor => Op::Xor,
        VerilogOp::BitAnd => Op::And,
        VerilogOp::BitOr => Op::Or,
        VerilogOp::Shl => Op::Shl,
        VerilogOp::Shr => Op::Shr,
        VerilogOp::Eq => Op::Eq,
        VerilogOp::Lt => Op::Lt,
        VerilogOp::Le => Op::Le,
        VerilogOp::Ne => Op::Ne,
        VerilogOp::Ge => Op::Ge,
        VerilogOp::Gt => Op::Gt,
    }
}

/// A Rust integer literal.
fn parse_number(text: &str) -> Option<u64> {
    let text = text.replace('_', "");
    let text = ["usize", "u64", "u32", "u16", "u8", "i32"]
        .iter()
        .find_map(|suffix| text.strip_suffix(suffix))
        .unwrap_or(&text);
    if text == "true" {
        Some(1)
    } else if text == "false" {
        Some(0)
    } else if let Some(digits) = text.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = text.strip_prefix("0b") {
        u64::from_str_radix(digits, 2).ok()
    } else {
        text.parse().ok()
    }
}

/// Integer arithmetic on loop variables and numbers: what an array index may hold.
struct IndexParser<'a> {
    text: &'a [u8],
    at: usize,
    loops: &'a [(String, u64)],
}

impl IndexParser<'_> {
    fn parse(mut self) -> Option<i64> {
        let value = self.sum()?;
        (self.at == self.text.len()).then_some(value)
    }

    fn next_is(&mut self, characters: &[u8]) -> Option<u8> {
        let found = *self.text.get(self.at)?;
        characters.contains(&found).then(|| {
            self.at += 1;
            found
        })
    }

    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        while let Some(op) = self.next_is(b"+-") {
            let right = self.product()?;
            value = if op == b'+' { value.checked_add(right)? } else { value.checked_sub(right)? };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.atom()?;
        while let Some(op) = self.next_is(b"*/%") {
            let right = self.atom()?;
            value = match op {
                b'*' => value.checked_mul(right)?,
                b'/' => value.checked_div(right)?,
                _ => value.checked_rem(right)?,
            };
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<i64> {
        if self.next_is(b"(").is_some() {
            let value = self.sum()?;
            self.next_is(b")")?;
            return Some(value);
        }
        let start = self.at;
        while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        let value = match self.loops.iter().rev().find(|(name, _)| name == word) {
            Some((_, value)) => *value,
            None => parse_number(word)?,
        };
        i64::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_arithmetic() {
        let loops = vec![("i".to_owned(), 3), ("j".to_owned(), 2)];
        let value = |text: &str| IndexParser { text: text.as_bytes(), at: 0, loops: &loops }.parse();
        assert_eq!(value("i*4+j-1"), Some(13));
        assert_eq!(value("((i+1))*(j)"), Some(8));
        assert_eq!(value("0x10"), Some(16));
        assert_eq!(value("i*C"), None);
        assert_eq!(value("i)"), None);
    }

    #[test]
    fn literals() {
        let literal = Literal::from(0x1_0000);
        assert_eq!((literal.bits(), literal.print(32).as_str()), (17, "32'h10000"));
        assert_eq!(Literal::from(0).bits(), 0);
        assert_eq!(Literal::from(255).bits(), 8);
    }
}
