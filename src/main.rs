//! The command line of Daybook: parse, run, render the error, exit code.

mod cli;
mod commands;
mod config;
mod exit;
mod failure;
mod log;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::start(&cli.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = failure::Failure::new("CLI-001", "the runtime cannot start", error);
            return fail(&failure.of_kind(daybook_ledger::Kind::Bug));
        }
    };
    let done = runtime.block_on(commands::run(cli));
    // What went on beside the command may stop anywhere; a compaction would keep a worker for as long as it takes.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &failure::Failure) -> ExitCode {
    output::tell_failure(failure);
    exit::of(failure)
}
