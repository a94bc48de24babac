//! misbehave: breaks the rules on request, to see what its agent makes of it.
//!
//! Usage: `misbehave MODE [VALUE]`, or the same words in the variable `MISBEHAVE`. The modes are in
//! `lib.rs`. Ends with 0 after `slow` and `hoard`, with 2 on wrong usage.

use misbehave::Mode;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let variable = std::env::var("MISBEHAVE").unwrap_or_default();
    let words: Vec<&str> = if arguments.is_empty() {
        variable.split_whitespace().collect()
    } else {
        arguments.iter().map(String::as_str).collect()
    };
    match Mode::parse(words) {
        Ok(mode) => {
            println!("misbehave: {mode:?}");
            mode.run();
        }
        Err(message) => {
            eprintln!("misbehave: {message}");
            Mode::Exit(2).run();
        }
    }
}
