//! Prints expressions and statements as Verilog.
//!
//! Every number is written with the width it has in Rust, casts are concatenations or part selects, and an operator
//! inside another one is always in parentheses (chains of one associative bitwise operator excepted), so the Verilog
//! tree is the Rust tree.
use super::ir::{Expr, Op, Pattern, Role, Statement, Symbols, Unary};

/// Longest line, where a break is possible.
pub(super) const LINE_WIDTH: usize = 110;

pub(super) struct Printer<'a> {
    pub(super) symbols: &'a Symbols,
    /// The Verilog name of each symbol; without them the rust-hdl names are printed.
    pub(super) names: Option<&'a [String]>,
}

impl Printer<'_> {
    /// For messages: rust-hdl names and numbers as written.
    pub(super) fn original(&self, expr: &Expr) -> String {
        Printer { symbols: self.symbols, names: None }.print(expr, None)
    }

    /// `expr` where `width` bits are expected.
    pub(super) fn expression(&self, expr: &Expr, width: usize) -> String {
        self.print(expr, Some(width))
    }

    fn name(&self, id: usize) -> &str {
        match self.names {
            Some(names) => &names[id],
            None => &self.symbols[id].name,
        }
    }

    fn print(&self, expr: &Expr, width: Option<usize>) -> String {
        match expr {
            Expr::Signal(id) => self.name(*id).to_owned(),
            Expr::Literal(literal) => match (width, literal.value()) {
                (Some(width), _) => literal.print(width),
                (None, Some(value)) => value.to_string(),
                (None, None) => literal.print(literal.bits()),
            },
            Expr::Unknown => "?".into(),
            Expr::Cast(inner, to) => self.cast(inner, *to),
            Expr::Signed(inner) => format!("$signed({})", self.print(inner, width)),
            Expr::Unsigned(inner) => format!("$unsigned({})", self.print(inner, width)),
            Expr::Index(value, index) => format!("{}[{}]", self.print(value, None), self.print(index, None)),
            Expr::Slice(value, size, offset) => self.slice(value, *size, offset),
            Expr::Unary(op, inner) => {
                let width =
                    if *op == Unary::Neg || *op == Unary::Not { width } else { inner.width(self.symbols) };
                let sign = match op {
                    Unary::Not if inner.width(self.symbols) == Some(1) => "!",
                    Unary::Not => "~",
                    Unary::Neg => "-",
                    Unary::All => "&",
                    Unary::Any => "|",
                    Unary::Xor => "^",
                };
                match &**inner {
                    Expr::Binary(..) | Expr::Unary(..) => format!("{sign}({})", self.print(inner, width)),
                    _ => format!("{sign}{}", self.print(inner, width)),
                }
            }
            Expr::Binary(left, op, right) => {
                let own = [left.width(self.symbols), right.width(self.symbols)];
                let shared = own[0].or(own[1]).or(width);
                let (left_width, right_width) = match op {
                    Op::Shl | Op::Shr => (own[0].or(width), None),
                    Op::Mul => (own[0].or(own[1]), own[1].or(own[0])),
                    _ => (shared, shared),
                };
                let left_text = self.operand(left, *op, left_width, true);
                let mut right_text = self.operand(right, *op, right_width, false);
                if let (true, [Some(wide), Some(1)]) = (op.is_arithmetic() && *op != Op::Mul, own) {
                    if wide > 1 {
                        right_text = format!("{{{}'d0, {right_text}}}", wide - 1);
                    }
                }
                format!("{left_text} {} {right_text}", op.text())
            }
            Expr::ReplaceBit(value, index, bit) => {
                let width = value.width(self.symbols).or(width).unwrap_or(1);
                let (value, index, bit) =
                    (self.print(value, Some(width)), self.print(index, None), self.print(bit, Some(1)));
                if width == 1 {
                    return bit;
                }
                format!("({value} & ~({width}'d1 << {index})) | ({{{}'d0, {bit}}} << {index})", width - 1)
            }
        }
    }

    fn operand(&self, expr: &Expr, parent: Op, width: Option<usize>, is_left: bool) -> String {
        let text = self.print(expr, width);
        let chains = matches!(parent, Op::And | Op::Or | Op::Xor | Op::LogicalAnd | Op::LogicalOr);
        match expr {
            Expr::Binary(_, op, _) if *op == parent && chains && is_left => text,
            Expr::Binary(..) => format!("({text})"),
            // `a & &b` and `a && &b` are hard to read.
            Expr::Unary(Unary::All | Unary::Any | Unary::Xor, _) => format!("({text})"),
            _ => text,
        }
    }

    fn cast(&self, inner: &Expr, to: usize) -> String {
        let Some(from) = inner.width(self.symbols) else {
            return self.print(inner, Some(to));
        };
        if to > from {
            return format!("{{{}'d0, {}}}", to - from, self.print(inner, Some(from)));
        }
        if to == from {
            return self.print(inner, Some(to));
        }
        match inner {
            Expr::Slice(value, _, offset) => self.slice(value, to, offset),
            Expr::Signed(value) | Expr::Unsigned(value) => self.cast(value, to),
            _ => self.slice(inner, to, &Expr::Literal(0.into())),
        }
    }

    fn slice(&self, value: &Expr, size: usize, offset: &Expr) -> String {
        let text = self.print(value, None);
        match offset.literal() {
            Some(low) if size == 1 => format!("{text}[{low}]"),
            Some(low) => format!("{text}[{}:{low}]", low + size as u64 - 1),
            None => format!("{text}[{} +: {size}]", self.print(offset, None)),
        }
    }

    /// The left side of an assignment.
    fn part(&self, target: usize, offset: usize, width: usize) -> String {
        let name = self.name(target);
        if width == self.symbols[target].width {
            name.to_owned()
        } else if width == 1 {
            format!("{name}[{offset}]")
        } else {
            format!("{name}[{}:{offset}]", offset + width - 1)
        }
    }

    /// `name = value`, without `assign` or `;`.
    pub(super) fn assignment(&self, statement: &Statement) -> Option<String> {
        match statement {
            Statement::Assign { target, value } => {
                let width = self.symbols[*target].width;
                Some(format!("{} = {}", self.name(*target), self.expression(value, width)))
            }
            Statement::AssignSlice { target, offset, width, value } => {
                Some(format!("{} = {}", self.part(*target, *offset, *width), self.expression(value, *width)))
            }
            _ => None,
        }
    }

    /// The statements of a procedural block.
    pub(super) fn statements(&self, statements: &[Statement], indent: usize, out: &mut Lines) {
        for statement in statements {
            self.statement(statement, indent, out);
        }
    }

    fn statement(&self, statement: &Statement, indent: usize, out: &mut Lines) {
        match statement {
            Statement::Assign { .. } | Statement::AssignSlice { .. } => {
                let text = self.assignment(statement).unwrap_or_default();
                out.push(indent, &format!("{text};"));
            }
            Statement::If { .. } => self.conditional("", statement, indent, out),
            Statement::Match { test, arms, exhaustive } => {
                let width = test.width(self.symbols).unwrap_or(32);
                out.push(indent, &format!("case ({})", self.expression(test, width)));
                for (number, (pattern, statements)) in arms.iter().enumerate() {
                    let is_last = number + 1 == arms.len();
                    let label = match pattern {
                        Pattern::Default => "default:".to_owned(),
                        // The last of all values also covers the codes that stand for none.
                        Pattern::Value(value) if is_last && *exhaustive => {
                            format!("default: // {}", self.expression(value, width))
                        }
                        Pattern::Value(value) => format!("{}:", self.expression(value, width)),
                    };
                    self.arm(&label, statements, indent + 1, out);
                }
                out.push(indent, "endcase");
            }
            Statement::Comment(text) => text.lines().for_each(|line| out.push(indent, &format!("// {line}"))),
        }
    }

    fn arm(&self, label: &str, statements: &[Statement], indent: usize, out: &mut Lines) {
        let (label, comment) = label
            .split_once(" //")
            .map_or((label, String::new()), |(label, comment)| (label, format!(" //{comment}")));
        match statements {
            [] => out.push(indent, &format!("{label} ;{comment}")),
            _ => {
                out.push(indent, &format!("{label} begin{comment}"));
                self.statements(statements, indent + 1, out);
                out.push(indent, "end");
            }
        }
    }

    fn conditional(&self, prefix: &str, statement: &Statement, indent: usize, out: &mut Lines) {
        let Statement::If { test, then, otherwise } = statement else {
            return;
        };
        let test = self.expression(test, 1);
        if let (true, true, [only]) = (prefix.is_empty(), otherwise.is_empty(), then.as_slice()) {
            let short = self.assignment(only).map(|text| format!("if ({test}) {text};"));
            if let Some(short) = short.filter(|short| 4 * indent + short.len() <= LINE_WIDTH) {
                out.push(indent, &short);
                return;
            }
        }
        out.push(indent, &format!("{prefix}if ({test}) begin"));
        self.statements(then, indent + 1, out);
        match otherwise.as_slice() {
            [] => out.push(indent, "end"),
            [only @ Statement::If { .. }] => self.conditional("end else ", only, indent, out),
            _ => {
                out.push(indent, "end else begin");
                self.statements(otherwise, indent + 1, out);
                out.push(indent, "end");
            }
        }
    }
}

/// The names of a role's value that is a number in the Verilog.
pub(super) fn is_number(role: &Role) -> bool {
    matches!(role, Role::Constant(_) | Role::EnumValue { .. })
}

/// Lines of Verilog, broken where they grow too long.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) text: String,
}

impl Lines {
    pub(super) fn push(&mut self, indent: usize, line: &str) {
        let mut rest = line.trim();
        let mut indent = 4 * indent + line.len() - line.trim_start().len();
        if rest.is_empty() {
            self.text.push('\n');
            return;
        }
        let breakable = !rest.contains('"') && !rest.contains("//") && !rest.starts_with('`');
        let mut is_first = true;
        while breakable && indent + rest.len() > LINE_WIDTH {
            let Some(at) = break_point(&rest[..LINE_WIDTH.saturating_sub(indent).clamp(20, rest.len())])
            else {
                break;
            };
            self.raw(indent, rest[..at].trim_end());
            rest = &rest[at..];
            if is_first {
                indent += 4;
                is_first = false;
            }
        }
        self.raw(indent, rest);
    }

    fn raw(&mut self, indent: usize, text: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// Where the next line starts: after the last comma, else at the last operator.
fn break_point(text: &str) -> Option<usize> {
    let after_comma = text.rfind(", ").map(|at| at + 2);
    let at_operator = || {
        [" | ", " & ", " ^ ", " + ", " && ", " || ", " ? ", " : ", " = "]
            .iter()
            .filter_map(|op| text.rfind(op))
            .max()
    };
    after_comma.or_else(|| at_operator().map(|at| at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_after_commas() {
        let mut lines = Lines::default();
        let parts: Vec<String> = (0..40).map(|part| format!("words_{part}")).collect();
        lines.push(1, &format!("assign packed = {{{}}};", parts.join(", ")));
        assert!(lines.text.lines().all(|line| line.len() <= LINE_WIDTH));
        assert_eq!(
            lines.text.split_whitespace().collect::<String>(),
            format!("assignpacked={{{}}};", parts.join(","))
        );
    }
}
