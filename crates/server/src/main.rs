//! The `rustredis` binary: a tool that checks files, if that is what it was asked or called for; else the server.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: rustredis::upkeep::allocator::CountingAllocator =
    rustredis::upkeep::allocator::CountingAllocator;

fn main() -> ExitCode {
    if let Some(code) = rustredis::check::run(std::env::args_os()) {
        return code;
    }
    let words = std::env::args_os().skip(1);
    match rustredis_config::parse_command_line(words, &mut std::io::stdin()) {
        Ok(rustredis_config::Invocation::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(rustredis_config::Invocation::Run(config)) => rustredis::start::run(*config),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
