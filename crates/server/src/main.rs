//! The `rustredis` binary: reads its arguments, opens the sockets, starts the workers, waits for the end.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: rustredis::memory::CountingAllocator = rustredis::memory::CountingAllocator;

fn main() -> ExitCode {
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
