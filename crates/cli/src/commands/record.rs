//! `--record`: a row of `docs/benchmarks.tsv`.

use crate::files;
use anyhow::Context;
use frugal_isa::Config;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The table's columns; what a benchmark has no number for is `-`.
const COLUMNS: [&str; 13] = [
    "date",
    "commit",
    "command",
    "config",
    "cycles",
    "macs",
    "utilisation",
    "bytes_read",
    "bytes_written",
    "simulated_khz",
    "array_khz",
    "predicted_cycles",
    "bus_share",
];

/// The numbers of one benchmark.
#[derive(Default)]
pub struct Row {
    pub command: String,
    pub cycles: u64,
    pub macs: u64,
    pub utilisation: f64,
    pub bytes_read: Option<u64>,
    pub bytes_written: Option<u64>,
    pub simulated_khz: f64,
    pub array_khz: Option<f64>,
    /// By the compiler's cycle model.
    pub predicted_cycles: Option<u64>,
    /// The memory bus' least cycles as a share of those measured.
    pub bus_share: Option<f64>,
}

/// The table of the checkout around the current folder.
pub fn find() -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("the current folder is unknown")?;
    let path = files::find_upwards(&current, "docs/benchmarks.tsv")
        .context("--record: no docs/benchmarks.tsv in this folder or above it; run it in the checkout")?;
    files::check_writable(&path)?;
    Ok(path)
}

/// Appends a row.
pub fn append(path: &Path, config: &Config, row: &Row) -> anyhow::Result<()> {
    let mut table = String::from_utf8(files::read(path)?).with_context(|| files::show(path))?;
    table = with_all_columns(&table);
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let cells: [String; COLUMNS.len()] = [
        today(),
        commit(path.parent().unwrap_or(path)),
        row.command.clone(),
        format!("{} {}x{} bus {}", config.name, config.rows, config.cols, config.bus_bits),
        row.cycles.to_string(),
        row.macs.to_string(),
        format!("{:.4}", row.utilisation),
        optional(row.bytes_read.map(|bytes| bytes.to_string())),
        optional(row.bytes_written.map(|bytes| bytes.to_string())),
        format!("{:.0}", row.simulated_khz),
        optional(row.array_khz.map(|speed| format!("{speed:.0}"))),
        optional(row.predicted_cycles.map(|cycles| cycles.to_string())),
        optional(row.bus_share.map(|share| format!("{share:.4}"))),
    ];
    table += &cells.map(|cell| cell.replace(['\t', '\n'], " ")).join("\t");
    table.push('\n');
    files::write(path, table.as_bytes())
}

/// The table with a header, and with `-` in columns that came after a row.
fn with_all_columns(table: &str) -> String {
    let rows = table.lines().filter(|line| !line.trim().is_empty()).skip(1).map(|line| {
        let missing = COLUMNS.len().saturating_sub(line.split('\t').count());
        line.to_owned() + &"\t-".repeat(missing)
    });
    std::iter::once(COLUMNS.join("\t")).chain(rows).map(|line| line + "\n").collect()
}

/// The arguments of this process, as a person would type them.
pub fn command_line() -> String {
    let arguments =
        std::env::args().skip(1).filter(|argument| argument != "--record" && argument != "--json");
    std::iter::once("frugal".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// The short commit, with a `+` when files differ from it.
fn commit(folder: &Path) -> String {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "-".into() };
    // The table itself changes with every row.
    let changes = git(&["status", "--porcelain", "--", ":(top)", ":(top,exclude)docs/benchmarks.tsv"]);
    format!("{commit}{}", if changes.is_some_and(|changes| changes.is_empty()) { "" } else { "+" })
}

fn today() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    date(days)
}

/// The date so many days after 1970-01-01: years begin in March, so that the leap day is a year's last.
fn date(days: u64) -> String {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::{date, with_all_columns, COLUMNS};

    #[test]
    fn rows_of_fewer_columns_stay_readable() {
        assert_eq!(with_all_columns(""), COLUMNS.join("\t") + "\n");
        let before = format!("{}\n{}", COLUMNS[..11].join("\t"), ["7"; 11].join("\t"));
        let after = with_all_columns(&before);
        assert_eq!(after, format!("{}\n{}\t-\t-\n", COLUMNS.join("\t"), ["7"; 11].join("\t")));
        assert_eq!(with_all_columns(&after), after);
    }

    #[test]
    fn dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_453, "2025-12-31"),
        ] {
            assert_eq!(date(days), text);
        }
    }
}
