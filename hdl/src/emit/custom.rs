//! The Verilog a leaf brings along.
//!
//! The text uses rust-hdl names (`activation$3`) for ports, children's ports and constants, and any names of its own.
//! It is copied token by token: a token that is one of the block's names becomes that name's Verilog form
//! (`activation_3`), everything else stays. An output assigned in an `always` or `initial` block is declared `reg`, any
//! other `wire`.
use std::collections::{BTreeSet, HashMap};

/// A leaf's text after renaming.
pub(super) struct Custom {
    pub(super) text: String,
    /// Original names that an `always` or `initial` block assigns.
    pub(super) procedural: BTreeSet<String>,
    /// Original names that occur at all.
    pub(super) mentioned: BTreeSet<String>,
}

/// Renames the tokens of `text` that are keys of `names`.
pub(super) fn translate(text: &str, names: &HashMap<&str, &str>) -> Custom {
    let mut custom = Custom {
        text: String::with_capacity(text.len()),
        procedural: BTreeSet::new(),
        mentioned: BTreeSet::new(),
    };
    // Within the right side of an assignment, or in a declaration that has one.
    let mut in_assign = false;
    let mut depth = 0_i32;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = token_length(rest, c);
        let (token, after) = rest.split_at(length);
        rest = after;
        match token {
            "(" => depth += 1,
            ")" => depth -= 1,
            ";" => in_assign = false,
            "assign" | "wire" => in_assign = true,
            _ => {}
        }
        match names.get(token) {
            Some(name) => {
                custom.mentioned.insert(token.to_owned());
                if depth == 0 && !in_assign && is_assigned(rest) {
                    custom.procedural.insert(token.to_owned());
                    in_assign = true;
                }
                custom.text.push_str(name);
            }
            None => custom.text.push_str(token),
        }
    }
    custom
}

/// The length of the token, comment, string or single character `text` starts with.
fn token_length(text: &str, first: char) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    if first.is_ascii_alphanumeric() || first == '_' || first == '$' || first == '`' {
        let body = text[1..].find(|c| !word(c)).unwrap_or(text.len() - 1);
        return 1 + body;
    }
    if first == '"' {
        return text[1..].find('"').map_or(text.len(), |end| end + 2);
    }
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    first.len_utf8()
}

/// What follows a name assigns it: optional selects, then `=` or `<=`.
fn is_assigned(mut rest: &str) -> bool {
    loop {
        rest = rest.trim_start();
        if !rest.starts_with('[') {
            break;
        }
        let mut depth = 0;
        let Some(end) = rest.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        }) else {
            return false;
        };
        rest = &rest[end + 1..];
    }
    rest.starts_with("<=") || (rest.starts_with('=') && !rest.starts_with("=="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_whole_tokens_and_finds_registers() {
        let names = HashMap::from([("a$1", "a_1"), ("a$10", "a_10"), ("q", "q"), ("out", "out")]);
        let text = "assign out = q == a$1; // a$1\nalways @(posedge clock) q[3:0] <= a$10 <= 4'd3;\n$display(\"q\");";
        let custom = translate(text, &names);
        assert!(custom.text.starts_with("assign out = q == a_1; // a$1\nalways"));
        assert!(custom.text.contains("q[3:0] <= a_10 <= 4'd3"));
        assert_eq!(custom.procedural.iter().map(String::as_str).collect::<Vec<_>>(), ["q"]);
    }
}
