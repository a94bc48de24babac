//! `coracle compile TARGET`: the controller's compiler, in a process of its own.
//!
//! Reads a module that may be hostile; the parent limits its memory and time.

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Target triple, or pulley64, pulley32
    target: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    Ok(coracle_runtime::compile::run_child(
        &arguments.target,
        input,
        output,
    )?)
}
