//! report: sums up what it was given, once, and ends.
//!
//! A nightly job at the edge: it reads files of numbers (one a line), prints a summary of each and
//! of its settings, and its exit code says whether all went well.
//!
//! Usage: `report [--exit CODE] [FILE]...`. A FILE may be a directory; then its files are read.
//! Prints the variables that begin with `REPORT_`, except `REPORT_EXIT`, which is as `--exit`.
//! Ends with 0, with CODE on request, with 1 when a file cannot be read, with 2 on wrong usage.
//!
//! Built twice: as a component, and (feature `component` off) as a WASI preview 1 core module.

use std::{fs, io, path::Path};

/// Larger files are refused: the guest's memory is limited.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn main() {
    let code = match arguments() {
        Ok(arguments) => run(&arguments),
        Err(message) => {
            eprintln!("report: {message}");
            eprintln!("usage: report [--exit CODE] [FILE]...");
            2
        }
    };
    exit(code);
}

#[cfg(feature = "component")]
fn exit(code: u8) {
    // Not `process::exit`: through WASI 0.2 it may keep only "zero or not".
    wasip2::cli::exit::exit_with_code(code);
}

#[cfg(not(feature = "component"))]
fn exit(code: u8) {
    std::process::exit(i32::from(code));
}

struct Arguments {
    exit: u8,
    files: Vec<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut exit = match std::env::var("REPORT_EXIT") {
        Ok(text) => code(&text)?,
        Err(_) => 0,
    };
    let mut files = Vec::new();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--exit" => exit = code(&given.next().ok_or("--exit needs a code")?)?,
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => files.push(argument),
        }
    }
    Ok(Arguments { exit, files })
}

fn code(text: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an exit code (0 to 255)"))
}

fn run(arguments: &Arguments) -> u8 {
    let mut variables: Vec<(String, String)> = std::env::vars()
        .filter(|(name, _)| name.starts_with("REPORT_") && name != "REPORT_EXIT")
        .collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value}");
    }
    let mut total = Summary::default();
    let mut failed = 0;
    for file in arguments.files.iter().flat_map(|name| expand(name)) {
        match read(&file) {
            Ok(summary) => {
                println!("{file}: {summary}");
                total.add(&summary);
            }
            Err(error) => {
                eprintln!("report: cannot read {file}: {error}");
                failed += 1;
            }
        }
    }
    println!("total: {total}");
    if failed > 0 { 1 } else { arguments.exit }
}

/// The files of a directory, sorted; anything else is itself.
fn expand(name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(name) else {
        return vec![name.to_owned()];
    };
    let mut files: Vec<String> = entries
        .filter_map(|entry| Some(format!("{name}/{}", entry.ok()?.file_name().to_str()?)))
        .filter(|file| Path::new(file).is_file())
        .collect();
    files.sort();
    files
}

fn read(file: &str) -> io::Result<Summary> {
    let bytes = fs::metadata(file)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("{bytes} bytes are too many")));
    }
    let text = fs::read_to_string(file)?;
    let mut summary = Summary::default();
    for line in text.lines() {
        summary.lines += 1;
        if let Ok(number) = line.trim().parse::<f64>() {
            summary.numbers += 1;
            summary.sum += number;
        }
    }
    Ok(summary)
}

#[derive(Default)]
struct Summary {
    lines: u64,
    numbers: u64,
    sum: f64,
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.numbers += other.numbers;
        self.sum += other.sum;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} lines, {} numbers, sum {:.2}",
            self.lines, self.numbers, self.sum
        )
    }
}
