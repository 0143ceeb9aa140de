//! Numbers and names for people.

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.123` as `12.3 %`; what is there but would be shown as nothing is `under 0.1 %`.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0005 {
        return "under 0.1 %".to_owned();
    }
    format!("{:.1} %", 100.0 * share)
}

/// A share of a whole that may be zero.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// `1 command`, `2 commands`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `65,536 bytes (64 KiB)`, the second from 10,000 bytes on.
pub fn bytes(number: u64) -> String {
    let exact = count(number, "byte");
    match number {
        0..10_000 => exact,
        10_000..10_485_760 => format!("{exact} ({:.0} KiB)", number as f64 / 1024.0),
        _ => format!("{exact} ({:.0} MiB)", number as f64 / 1_048_576.0),
    }
}

/// A number in few characters, three digits exact: `0.25`, `12.3`, `1,230`.
pub fn short(number: f64) -> String {
    match number {
        n if !n.is_finite() => "-".to_owned(),
        n if n >= 99.95 => thousands(n.round() as u64),
        n if n >= 9.995 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// Text for HTML and SVG, in elements and in quoted attributes. Characters that would not be shown, or would change the direction of what
/// follows, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{fffd}')
            }
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text, or its beginning and an ellipsis, in at most so many characters.
pub fn shorten(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut shortened: String = text.chars().take(characters.saturating_sub(1)).collect();
    shortened.push('\u{2026}');
    shortened
}

/// A short name for each layer, for places with little room: `op03` of `op03_ADD` where the beginnings differ, `#4` for the
/// fourth layer otherwise.
pub fn short_names(names: &[&str]) -> Vec<String> {
    const LONGEST: usize = 8;
    let beginnings: Vec<&str> = names.iter().map(|name| name.split('_').next().unwrap_or_default()).collect();
    let distinct: std::collections::HashSet<&&str> = beginnings.iter().collect();
    if distinct.len() == names.len()
        && beginnings.iter().all(|b| !b.is_empty() && b.len() <= LONGEST && b.is_ascii())
    {
        return beginnings.into_iter().map(str::to_owned).collect();
    }
    (1..=names.len()).map(|number| format!("#{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567, u64::MAX].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!([0.0, 0.0001, 0.8489, 1.0].map(percent), ["0.0 %", "under 0.1 %", "84.9 %", "100.0 %"]);
        assert_eq!([0.254, 12.34, 1234.0, f64::NAN].map(short), ["0.25", "12.3", "1,234", "-"]);
        assert_eq!(share(1, 0), 0.0);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(9_216), "9,216 bytes");
        assert_eq!(bytes(65_536), "65,536 bytes (64 KiB)");
        assert_eq!(bytes(u64::MAX / 2).split(' ').nth(1), Some("bytes"));
    }

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">'&\0\u{202e}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn short_names_are_distinct() {
        assert_eq!(short_names(&["op00_CONV_2D", "op01_ADD"]), ["op00", "op01"]);
        assert_eq!(short_names(&["conv_1", "conv_2"]), ["#1", "#2"]);
        assert_eq!(short_names(&["", "b"]), ["#1", "#2"]);
        assert_eq!(shorten("abcdef", 4), "abc\u{2026}");
    }
}
