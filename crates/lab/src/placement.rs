//! Where servers and generators run: on which processors, and whether on this machine.
//!
//! Nothing is pinned unless it is asked for: on a machine with few cores the kernel shares them better than a fixed division
//! does. With cores to spare, pinning keeps the generator from taking the server's.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use clap::Args;

use crate::cpus::Cpus;
use crate::load::Generator;

/// Resolves a host and port.
pub fn resolve(target: &str) -> Result<SocketAddr, String> {
    let mut addresses = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?;
    addresses.next().ok_or_else(|| format!("{target} has no address"))
}

/// Where the generator runs, as options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct GeneratorArgs {
    /// Hold the generator's threads on these processors: 0,2-5
    #[arg(long, value_name = "CPUS")]
    pub pin_generator: Option<Cpus>,
    /// Send the load from another machine, where `rustredis-lab generator --listen HOST:PORT` runs
    #[arg(long, value_name = "HOST:PORT")]
    pub generator: Option<String>,
}

impl GeneratorArgs {
    /// The place, its address resolved.
    pub fn resolve(&self) -> Result<Generator, String> {
        let address = self.generator.as_deref().map(resolve).transpose()?;
        Ok(Generator { cpus: self.pin_generator.clone(), address })
    }
}

/// Where servers and the generator run, as options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct PlacementArgs {
    /// The generator.
    #[command(flatten)]
    pub generator: GeneratorArgs,
    /// Hold servers, and engines that run alone, on these processors: 0,2-5
    #[arg(long, value_name = "CPUS")]
    pub pin_server: Option<Cpus>,
    /// Let servers listen on this address of this machine, too, for a generator on another one. They ask for no password:
    /// for networks that are your own
    #[arg(long, value_name = "IP")]
    pub bind_server: Option<IpAddr>,
}

/// Where servers and the generator run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The generator.
    pub generator: Generator,
    /// Processors that servers are held on.
    pub server_cpus: Option<Cpus>,
    /// Where servers listen beside 127.0.0.1.
    pub bind: Option<IpAddr>,
}

impl PlacementArgs {
    /// The placement. A generator on another machine without an address that it can reach is a mistake.
    pub fn resolve(&self) -> Result<Placement, String> {
        let generator = self.generator.resolve()?;
        let is_far = generator.address.is_some_and(|address| !address.ip().is_loopback());
        if is_far && self.bind_server.is_none() {
            return Err("--generator on another machine needs --bind-server with an address that it reaches"
                .to_owned());
        }
        Ok(Placement { generator, server_cpus: self.pin_server.clone(), bind: self.bind_server })
    }
}

impl Placement {
    /// Options that a server needs for it.
    pub fn options(&self) -> Vec<String> {
        let Some(bind) = self.bind else { return Vec::new() };
        ["--bind", "127.0.0.1", &bind.to_string(), "--protected-mode", "no"].map(str::to_owned).to_vec()
    }

    /// Where the generator finds a server that listens here.
    pub fn reach(&self, local: SocketAddr) -> SocketAddr {
        self.bind.map_or(local, |ip| SocketAddr::new(ip, local.port()))
    }

    /// It in words, if it is not the default.
    pub fn describe(&self) -> Option<String> {
        let mut parts = Vec::new();
        parts.extend(self.server_cpus.as_ref().map(|cpus| format!("servers on processors {cpus}")));
        parts.extend(self.generator.cpus.as_ref().map(|cpus| format!("generator on processors {cpus}")));
        parts.extend(self.generator.address.map(|address| format!("generator at {address}")));
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_generator_needs_an_address() {
        let far = GeneratorArgs { generator: Some("192.0.2.1:7000".to_owned()), ..GeneratorArgs::default() };
        let args = PlacementArgs { generator: far, ..PlacementArgs::default() };
        assert!(args.resolve().unwrap_err().contains("--bind-server"));
        let args = PlacementArgs { bind_server: Some("192.0.2.7".parse().unwrap()), ..args };
        let placement = args.resolve().unwrap();
        assert_eq!(placement.options()[..3], ["--bind", "127.0.0.1", "192.0.2.7"]);
        assert_eq!(placement.reach("127.0.0.1:7001".parse().unwrap()).to_string(), "192.0.2.7:7001");
    }
}
