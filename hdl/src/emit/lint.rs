//! Refuses code that means one thing to rustc and another to Verilog, before any Verilog is written.
//!
//! Rust computes in the width of its operands and wraps; Verilog widens an expression to its surroundings. They agree
//! when every operand of an expression has the same width, so this is allowed:
//!
//! * one arithmetic operator (`+`, `-`, `*`) between signals and numbers, assigned to a signal;
//! * comparisons of signals, numbers and bitwise expressions (the printer writes the parentheses);
//! * `&`, `|`, `^`, `!`, `&&`, `||` nested at will over signals, shifts of signals by a signal or number, and comparisons;
//! * `bit_cast`, `get_bit` and `get_bits` of a signal.
//!
//! Refused: arithmetic inside anything else, a shift, cast or slice of an expression, a signed comparison with a
//! number, numbers too large for their signal, and names that are no signal of the block (a const generic or Rust `const`
//! reaches the Verilog as a bare name). Whole-block checks: every driven signal is driven on all paths (no latch), every
//! child's input and every output is driven, no input is.
use super::ir::{Expr, Pattern, Role, SignalId, Statement, Symbols, Unary};
use super::print::Printer;
use std::collections::{BTreeMap, BTreeSet};

/// One thing wrong with a block, in words: what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("`{0}` is not a signal of this block (a const generic or Rust const leaks its name into the Verilog: use a Constant field, a loop variable or a turbofish width)")]
    UnknownName(String),
    #[error("the index of `{0}` may hold loop variables and numbers only")]
    BadIndex(String),
    #[error("the negative number {0}: use a Constant field")]
    NegativeLiteral(String),
    #[error("`{0}` nests arithmetic: one arithmetic operator per assignment, the rest in a Local signal")]
    NestedArithmetic(String),
    #[error("`{0}` tests arithmetic: assign it to a Local signal first")]
    ArithmeticCondition(String),
    #[error("`{0}` shifts an expression: assign it to a Local signal first")]
    ShiftOfExpression(String),
    #[error("`{0}` casts an expression: assign it to a Local signal first")]
    CastOfExpression(String),
    #[error("`{0}` takes bits of an expression: assign it to a Local signal first")]
    SliceOfExpression(String),
    #[error("`{0}` compares signed values with a number or an unsigned value: compare two Signed signals, or use a leaf")]
    SignedComparison(String),
    #[error("`{0}` mixes widths of {1} and {2} bits")]
    WidthMismatch(String, usize, usize),
    #[error("`{0}`: the number does not fit in {1} bits")]
    LiteralTooWide(String, usize),
    #[error("`{0}` has no defined width: give one side a signal or a Bits type")]
    NoWidth(String),
    #[error("the bits of a signal can be assigned at fixed positions only")]
    DynamicSliceAssignment,
    #[error(
        "`{0}` is an inout port of a child: link it, as a whole and alone, to an inout port of the block"
    )]
    Bidirectional(String),
    #[error("`{0}` is an input and is driven here")]
    DrivesInput(String),
    #[error("`{0}` is a child's output and is driven here")]
    DrivesChildOutput(String),
    #[error("`{0}` is not driven on every path: assign a default first (this would be a latch)")]
    Latch(String),
    #[error("`{0}` is read before it is assigned, in the same chain of statements")]
    ReadBeforeAssignment(String),
    #[error("the input `{0}` of a child is never driven")]
    UndrivenChildInput(String),
    #[error("the output `{0}` is never driven")]
    UndrivenOutput(String),
    #[error("`{0}` is read and never driven")]
    UndrivenLocal(String),
}

/// What kind of expression this is, for the rules above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Simple,
    Bitwise,
    Arithmetic,
}

pub(super) struct Linter<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) printer: &'a Printer<'a>,
    pub(super) problems: Vec<Problem>,
}

impl Linter<'_> {
    pub(super) fn block(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { target, value } => self.assignment(self.symbols[*target].width, value),
                Statement::AssignSlice { width, value, .. } => self.assignment(*width, value),
                Statement::If { test, then, otherwise } => {
                    self.condition(test);
                    self.block(then);
                    self.block(otherwise);
                }
                Statement::Match { test, arms, .. } => {
                    if self.class(test) != Class::Simple {
                        self.problems.push(Problem::ArithmeticCondition(self.text(test)));
                    }
                    for (pattern, statements) in arms {
                        if let (Pattern::Value(value), Some(width)) = (pattern, test.width(self.symbols)) {
                            self.fits(value, width);
                        }
                        self.block(statements);
                    }
                }
                Statement::Comment(_) => {}
            }
        }
    }

    fn text(&self, expr: &Expr) -> String {
        self.printer.original(expr)
    }

    fn assignment(&mut self, width: usize, value: &Expr) {
        self.class(value);
        self.fits(value, width);
    }

    fn condition(&mut self, test: &Expr) {
        if self.class(test) == Class::Arithmetic {
            self.problems.push(Problem::ArithmeticCondition(self.text(test)));
        }
        self.fits(test, 1);
    }

    /// Reports a value that is not exactly `width` bits wide.
    fn fits(&mut self, value: &Expr, width: usize) {
        match (value, value.width(self.symbols)) {
            (_, Some(actual)) if actual != width => {
                self.problems.push(Problem::WidthMismatch(self.text(value), actual, width));
            }
            (Expr::Literal(literal), _) if literal.bits() > width => {
                self.problems.push(Problem::LiteralTooWide(self.text(value), width));
            }
            _ => {}
        }
    }

    fn class(&mut self, expr: &Expr) -> Class {
        match expr {
            Expr::Signal(_) | Expr::Literal(_) | Expr::Unknown => Class::Simple,
            Expr::Cast(inner, width) => {
                if self.class(inner) != Class::Simple || matches!(**inner, Expr::Cast(..)) {
                    self.problems.push(Problem::CastOfExpression(self.text(expr)));
                }
                if let Expr::Literal(literal) = &**inner {
                    if literal.bits() > *width {
                        self.problems.push(Problem::LiteralTooWide(self.text(expr), *width));
                    }
                }
                Class::Simple
            }
            Expr::Signed(inner) | Expr::Unsigned(inner) => {
                if self.class(inner) != Class::Simple {
                    self.problems.push(Problem::CastOfExpression(self.text(expr)));
                }
                Class::Simple
            }
            Expr::Index(value, position) | Expr::Slice(value, _, position) => {
                let sliceable = matches!(**value, Expr::Signal(_));
                if !sliceable || self.class(position) != Class::Simple {
                    self.problems.push(Problem::SliceOfExpression(self.text(expr)));
                }
                Class::Simple
            }
            Expr::ReplaceBit(value, position, bit) => {
                for operand in [value, position, bit] {
                    if self.class(operand) != Class::Simple {
                        self.problems.push(Problem::NestedArithmetic(self.text(expr)));
                    }
                }
                self.fits(bit, 1);
                Class::Arithmetic
            }
            Expr::Unary(Unary::Neg, inner) => {
                if self.class(inner) != Class::Simple {
                    self.problems.push(Problem::NestedArithmetic(self.text(expr)));
                }
                Class::Arithmetic
            }
            Expr::Unary(_, inner) => {
                if self.class(inner) == Class::Arithmetic {
                    self.problems.push(Problem::NestedArithmetic(self.text(expr)));
                }
                if inner.width(self.symbols).is_none() && **inner != Expr::Unknown {
                    self.problems.push(Problem::NoWidth(self.text(expr)));
                }
                Class::Bitwise
            }
            Expr::Binary(left, op, right) => {
                let classes = [self.class(left), self.class(right)];
                if op.is_shift() {
                    if classes != [Class::Simple; 2] {
                        self.problems.push(Problem::ShiftOfExpression(self.text(expr)));
                    }
                    if left.width(self.symbols).is_none() && **left != Expr::Unknown {
                        self.problems.push(Problem::NoWidth(self.text(expr)));
                    }
                    return Class::Bitwise;
                }
                self.operands(expr, left, right);
                if op.is_arithmetic() {
                    if classes != [Class::Simple; 2] {
                        self.problems.push(Problem::NestedArithmetic(self.text(expr)));
                    }
                    return Class::Arithmetic;
                }
                if classes.contains(&Class::Arithmetic) {
                    self.problems.push(if op.is_comparison() {
                        Problem::ArithmeticCondition(self.text(expr))
                    } else {
                        Problem::NestedArithmetic(self.text(expr))
                    });
                }
                let signs = [left.is_signed(self.symbols), right.is_signed(self.symbols)];
                if op.is_comparison() && signs[0] != signs[1] {
                    self.problems.push(Problem::SignedComparison(self.text(expr)));
                }
                Class::Bitwise
            }
        }
    }

    /// Both sides of an operator have one width, which a number can take.
    fn operands(&mut self, expr: &Expr, left: &Expr, right: &Expr) {
        use super::ir::Op;
        match (left.width(self.symbols), right.width(self.symbols)) {
            (Some(a), Some(b)) => {
                let multiplies = matches!(expr, Expr::Binary(_, Op::Mul, _));
                // `Bits + bool` adds a carry.
                let carry = b == 1 && matches!(expr, Expr::Binary(_, Op::Add | Op::Sub, _));
                if a != b && !multiplies && !carry {
                    self.problems.push(Problem::WidthMismatch(self.text(expr), a, b));
                }
            }
            (Some(width), None) => self.fits(right, width),
            (None, Some(width)) => self.fits(left, width),
            (None, None) => {
                if *left != Expr::Unknown && *right != Expr::Unknown {
                    self.problems.push(Problem::NoWidth(self.text(expr)));
                }
            }
        }
    }
}

/// Which bits of a signal have been assigned.
#[derive(Clone, PartialEq, Eq)]
enum Coverage {
    Full,
    Bits(BTreeSet<usize>),
}

impl Coverage {
    fn intersection(&self, other: &Coverage) -> Coverage {
        match (self, other) {
            (Coverage::Full, any) | (any, Coverage::Full) => any.clone(),
            (Coverage::Bits(a), Coverage::Bits(b)) => Coverage::Bits(a & b),
        }
    }
}

type Assigned = BTreeMap<SignalId, Coverage>;

/// Finds latches: signals driven on some paths only, and signals read in their own statements before they are driven.
pub(super) struct PathCheck<'a> {
    pub(super) symbols: &'a Symbols,
    /// The statement group of each driven signal.
    pub(super) group_of: &'a BTreeMap<SignalId, usize>,
    pub(super) problems: Vec<Problem>,
}

impl PathCheck<'_> {
    /// `statements` with the group each belongs to.
    pub(super) fn check(&mut self, statements: &[(usize, &Statement)]) {
        let mut assigned = Assigned::new();
        for (group, statement) in statements {
            self.statement(*group, statement, &mut assigned);
        }
        for id in self.group_of.keys() {
            if assigned.get(id) != Some(&Coverage::Full) {
                self.problems.push(Problem::Latch(self.symbols[*id].name.clone()));
            }
        }
    }

    fn block(&mut self, group: usize, statements: &[Statement], assigned: &Assigned) -> Assigned {
        let mut assigned = assigned.clone();
        for statement in statements {
            self.statement(group, statement, &mut assigned);
        }
        assigned
    }

    fn expression(&mut self, group: usize, expr: &Expr, assigned: &Assigned) {
        let mut early = Vec::new();
        expr.reads(&mut |id| {
            if self.group_of.get(&id) == Some(&group) && assigned.get(&id) != Some(&Coverage::Full) {
                early.push(id);
            }
        });
        for id in early {
            self.problems.push(Problem::ReadBeforeAssignment(self.symbols[id].name.clone()));
        }
    }

    fn statement(&mut self, group: usize, statement: &Statement, assigned: &mut Assigned) {
        match statement {
            Statement::Assign { target, value } => {
                self.expression(group, value, assigned);
                assigned.insert(*target, Coverage::Full);
            }
            Statement::AssignSlice { target, offset, width, value } => {
                self.expression(group, value, assigned);
                let entry = assigned.entry(*target).or_insert_with(|| Coverage::Bits(BTreeSet::new()));
                if let Coverage::Bits(bits) = entry {
                    bits.extend(*offset..offset + width);
                    if bits.len() == self.symbols[*target].width {
                        *entry = Coverage::Full;
                    }
                }
            }
            Statement::If { test, then, otherwise } => {
                self.expression(group, test, assigned);
                let then = self.block(group, then, assigned);
                let otherwise = self.block(group, otherwise, assigned);
                *assigned = both(&then, &otherwise);
            }
            Statement::Match { test, arms, exhaustive } => {
                self.expression(group, test, assigned);
                let mut result = if *exhaustive { None } else { Some(assigned.clone()) };
                for (_, statements) in arms {
                    let arm = self.block(group, statements, assigned);
                    result = Some(match result {
                        None => arm,
                        Some(result) => both(&result, &arm),
                    });
                }
                *assigned = result.unwrap_or_default();
            }
            Statement::Comment(_) => {}
        }
    }
}

/// What is assigned on both paths.
fn both(a: &Assigned, b: &Assigned) -> Assigned {
    a.iter().filter_map(|(id, coverage)| Some((*id, coverage.intersection(b.get(id)?)))).collect()
}

/// Ports and locals that nothing drives.
pub(super) fn undriven(
    symbols: &Symbols,
    is_driven: &dyn Fn(SignalId) -> bool,
    is_read: &[bool],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (id, symbol) in symbols.list.iter().enumerate() {
        if is_driven(id) {
            continue;
        }
        match symbol.role {
            Role::ChildInput => problems.push(Problem::UndrivenChildInput(symbol.name.clone())),
            Role::Output => problems.push(Problem::UndrivenOutput(symbol.name.clone())),
            Role::Local if is_read[id] => problems.push(Problem::UndrivenLocal(symbol.name.clone())),
            _ => {}
        }
    }
    problems
}
