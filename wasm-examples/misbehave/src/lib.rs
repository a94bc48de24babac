//! The ways to misbehave, shared by the command `misbehave` and the server `misbehave-http`.
//!
//! Each is what a broken or hostile program does; what the agent makes of it is the test.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Write as _},
    time::Duration,
};
use wasip2::clocks::monotonic_clock;

/// What `allocate` takes at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Computes for ever.
    Loop,
    /// Allocates, and touches, until it is stopped.
    Allocate,
    /// Runs into an instruction that traps.
    Trap,
    /// Ends with this code.
    Exit(u8),
    /// Writes log lines without a pause.
    Flood,
    /// Holds ever more files, or timers where it has no directory.
    Hoard,
    /// Calls itself until the stack ends.
    Recurse,
    /// Does nothing for this many milliseconds, then ends well.
    Slow(u64),
}

impl Mode {
    /// The words of a request: `loop`, `allocate`, `trap`, `exit N`, `flood`, `hoard`, `recurse`,
    /// `slow MILLISECONDS`.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_default();
        let value = words.next();
        let number = |what: &str| {
            let text = value.ok_or_else(|| format!("{name} needs {what}"))?;
            text.parse::<u64>()
                .map_err(|_| format!("{text:?} is not {what}"))
        };
        Ok(match name {
            "loop" => Self::Loop,
            "allocate" => Self::Allocate,
            "trap" => Self::Trap,
            "exit" => Self::Exit(
                u8::try_from(number("a code from 0 to 255")?)
                    .map_err(|_| "an exit code is at most 255".to_owned())?,
            ),
            "flood" => Self::Flood,
            "hoard" => Self::Hoard,
            "recurse" => Self::Recurse,
            "slow" => Self::Slow(number("a number of milliseconds")?),
            _ => {
                return Err(format!(
                    "{name:?} is none of loop, allocate, trap, exit N, flood, hoard, recurse, \
                     slow MILLISECONDS"
                ));
            }
        })
    }

    /// Does it. Returns only from `Slow`, and from `Hoard` when no more was given.
    pub fn run(self) {
        match self {
            Self::Loop => spin(),
            Self::Allocate => allocate(),
            Self::Trap => trap(),
            Self::Exit(code) => wasip2::cli::exit::exit_with_code(code),
            Self::Flood => flood(),
            Self::Hoard => hoard(),
            Self::Recurse => {
                black_box(recurse(black_box(u64::MAX)));
            }
            Self::Slow(millis) => std::thread::sleep(Duration::from_millis(millis)),
        }
    }
}

fn spin() {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn allocate() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(vec![1; CHUNK_BYTES]);
        black_box(&held);
    }
}

/// The same instruction that Rust's panics end in.
fn trap() {
    std::process::abort();
}

fn flood() {
    let mut out = io::stdout().lock();
    let line = format!("{}\n", "flood ".repeat(20));
    loop {
        // A log that takes no more is no reason to stop.
        let _ = out.write_all(line.as_bytes());
    }
}

fn hoard() {
    let mut files = Vec::new();
    let file = std::env::var("HOARD_FILE").ok();
    while let Some(name) = &file {
        match File::open(name) {
            Ok(file) => files.push(file),
            Err(error) => {
                println!("held {} files: {error}", files.len());
                break;
            }
        }
    }
    let mut timers = Vec::new();
    while file.is_none() {
        timers.push(monotonic_clock::subscribe_duration(u64::MAX));
        if timers.len() % 1000 == 0 {
            println!("hold {} timers", timers.len());
        }
    }
    black_box((&files, &timers));
}

fn recurse(depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    recurse(black_box(depth - 1)).wrapping_add(depth)
}
