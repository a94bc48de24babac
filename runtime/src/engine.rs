//! The one engine profile that both sides share. A setting that changes compiled code is set
//! here, explicitly, and nowhere else; what only changes how code is run (pools, stacks) is
//! below, for the running side.
//!
//! The compatibility hash is ours, not wasmtime's: an agent without a compiler cannot compute
//! wasmtime's. It covers the version and the same table of settings the profile is made from.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use wasmtime::{Config, WasmFeatures};

/// The version of wasmtime this crate is written for; compiled code depends on it.
const WASMTIME: &str = "48.0";
/// The engine as Kubernetes names container runtimes.
pub const ENGINE: &str = "wasmtime://48.0";
/// Raised by hand when compiled code changes in a way that the settings below do not show.
const REVISION: u32 = 1;

/// Small on purpose: thousands of instances must fit a 39-bit address space. The price is
/// explicit bounds checks. A slot of the pool is never larger than this.
const MEMORY_RESERVATION: u64 = 64 << 20;
/// The same for a 32-bit address space.
const MEMORY_RESERVATION_32: u64 = 4 << 20;
const MEMORY_GUARD: u64 = 64 << 10;
const MEMORY_GROWTH: u64 = 1 << 20;
/// What real guests recurse to (interpreters); only touched pages cost memory.
const WASM_STACK: usize = 512 << 10;
/// Wasm's stack and what host calls need on top.
#[cfg(feature = "run")]
const ASYNC_STACK: usize = WASM_STACK + (256 << 10);

/// The proposals a guest may use. Fixed, so that a crate feature cannot change them.
const FEATURES: &[WasmFeatures] = &[
    WasmFeatures::MUTABLE_GLOBAL,
    WasmFeatures::SATURATING_FLOAT_TO_INT,
    WasmFeatures::SIGN_EXTENSION,
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::CALL_INDIRECT_OVERLONG,
    WasmFeatures::MULTI_VALUE,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::BULK_MEMORY_OPT,
    WasmFeatures::SIMD,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::TAIL_CALL,
    WasmFeatures::FLOATS,
    WasmFeatures::MULTI_MEMORY,
    WasmFeatures::MEMORY64,
    WasmFeatures::EXTENDED_CONST,
    WasmFeatures::COMPONENT_MODEL,
    WasmFeatures::CM_ASYNC,
];

/// The targets that can be compiled for, and what wasmtime calls them.
pub(crate) const TARGETS: &[&str] = &[
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "pulley32",
    "pulley64",
];

/// What compiled code must match to load.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compatibility {
    /// A target triple, `pulley32` or `pulley64`.
    pub target: String,
    /// Hex of the hash over the engine's version and all settings that compiled code depends on.
    pub hash: String,
}

impl Compatibility {
    /// The compatibility of code for `target`, one of the known ones.
    pub(crate) fn of_target(target: &str) -> Result<Self, Error> {
        let profile = Profile::of_target(target)?;
        Ok(Self {
            target: target.to_owned(),
            hash: profile.hash(),
        })
    }
}

/// The settings for one target; a plain table, so that it can be hashed as text.
#[derive(Debug, Clone, Copy)]
struct Profile {
    target: &'static str,
    /// Pulley has no signals and no use for guard pages.
    interpreted: bool,
}

impl Profile {
    fn of_target(target: &str) -> Result<Self, Error> {
        let Some(target) = TARGETS.iter().find(|known| **known == target) else {
            return Err(Error::Target {
                target: target.to_owned(),
                source: format!("the known targets are {}", TARGETS.join(", ")).into(),
            });
        };
        Ok(Self {
            target,
            interpreted: target.starts_with("pulley"),
        })
    }

    fn guard(&self) -> u64 {
        if self.interpreted { 0 } else { MEMORY_GUARD }
    }

    fn reservation(&self) -> u64 {
        if self.target == "pulley32" {
            MEMORY_RESERVATION_32
        } else {
            MEMORY_RESERVATION
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .consume_fuel(false)
            .epoch_interruption(true)
            .memory_reservation(self.reservation())
            .memory_guard_size(self.guard())
            .memory_reservation_for_growth(MEMORY_GROWTH)
            .memory_may_move(true)
            .guard_before_linear_memory(false)
            .memory_init_cow(true)
            .table_lazy_init(true)
            .signals_based_traps(!self.interpreted)
            .generate_address_map(true)
            .debug_info(false)
            .debug_symbols(false)
            .relaxed_simd_deterministic(true)
            .concurrency_support(true)
            .max_wasm_stack(WASM_STACK)
            .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
        for feature in WasmFeatures::all().iter() {
            config.wasm_features(feature, FEATURES.contains(&feature));
        }
        config
    }

    /// Stable text of everything in `config` that compiled code depends on.
    fn text(&self) -> String {
        let features: u64 = FEATURES.iter().fold(0, |bits, f| bits | f.bits());
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "wasmtime {WASMTIME} revision {REVISION} target {} interpreted {} epoch fuel- \
             reservation {} guard {} growth {MEMORY_GROWTH} cow lazy-tables \
             address-map deterministic-simd concurrency features {features:x}",
            self.target,
            self.interpreted,
            self.reservation(),
            self.guard(),
        );
        text
    }

    fn hash(&self) -> String {
        let digest = Sha256::digest(self.text().as_bytes());
        let mut hex = String::with_capacity(32);
        for byte in &digest[..16] {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// The target that runs on this machine.
#[cfg(feature = "run")]
pub(crate) fn host_target() -> &'static str {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        "x86_64-unknown-linux-gnu"
    } else if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        "aarch64-unknown-linux-gnu"
    } else if cfg!(target_pointer_width = "64") {
        "pulley64"
    } else {
        "pulley32"
    }
}

/// The engine that compiles for `target`.
#[cfg(feature = "compile")]
pub(crate) fn compiling(target: &str) -> Result<wasmtime::Engine, Error> {
    let profile = Profile::of_target(target)?;
    let mut config = profile.config();
    config.enable_compiler(true);
    config
        .target(profile.target)
        .and_then(|config| {
            config
                .cranelift_opt_level(wasmtime::OptLevel::Speed)
                .parallel_compilation(true);
            wasmtime::Engine::new(config)
        })
        .map_err(|e| Error::Target {
            target: target.to_owned(),
            source: e.into(),
        })
}

/// How many instances a pool has, and how large one may be.
#[cfg(feature = "run")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) slots: u32,
    pub(crate) memory_bytes: usize,
}

#[cfg(feature = "run")]
mod run {
    use super::{ASYNC_STACK, Pool, Profile, host_target};
    use crate::Error;
    use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

    /// Core modules of one component; the usual are four (main, adapter, two shims).
    pub(super) const CORE_INSTANCES: u32 = 8;
    /// Guest memory kept mapped between two instances of a slot: what a small guest touches.
    const KEEP_RESIDENT: usize = 2 << 20;
    const KEEP_TABLE: usize = 64 << 10;

    fn base(target: &str) -> Result<wasmtime::Config, Error> {
        let mut config = Profile::of_target(target)?.config();
        #[cfg(feature = "compile")]
        config.enable_compiler(false);
        if target != host_target() || target.starts_with("pulley") {
            config.target(target).map_err(|e| Error::Engine(e.into()))?;
        }
        config.async_stack_size(ASYNC_STACK);
        Ok(config)
    }

    /// The engine whose instances are mapped one by one.
    pub(crate) fn on_demand(target: &str) -> Result<Engine, Error> {
        Engine::new(&base(target)?).map_err(|e| Error::Engine(e.into()))
    }

    /// The engine with slots for small HTTP guests. Falls back to fewer slots where the address
    /// space is small; `None` when not even those fit.
    pub(crate) fn pooling(target: &str, slots: u32) -> Result<Option<(Engine, Pool)>, Error> {
        let reservation = usize::try_from(Profile::of_target(target)?.reservation());
        let Ok(memory_bytes) = reservation else {
            return Ok(None);
        };
        for slots in [slots, slots.div_ceil(4)] {
            let mut config = base(target)?;
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(allocation(
                slots,
                memory_bytes,
            )));
            match Engine::new(&config) {
                Ok(engine) => {
                    return Ok(Some((
                        engine,
                        Pool {
                            slots,
                            memory_bytes,
                        },
                    )));
                }
                Err(error) => {
                    tracing::debug!(memory_bytes, slots, %error, "pool does not fit, trying a smaller one");
                }
            }
        }
        Ok(None)
    }

    fn allocation(slots: u32, memory_bytes: usize) -> PoolingAllocationConfig {
        let mut pool = PoolingAllocationConfig::new();
        // Scanning for touched pages needs Linux 6.7; without it a large resident part would be
        // cleared byte by byte for each instance.
        let scan = PoolingAllocationConfig::is_pagemap_scan_available();
        pool.total_component_instances(slots)
            .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
            .max_core_instances_per_component(CORE_INSTANCES)
            .total_memories(slots.saturating_mul(2))
            .max_memories_per_component(2)
            .total_tables(slots.saturating_mul(4))
            .max_tables_per_component(4)
            .total_stacks(slots)
            .max_memory_size(memory_bytes)
            .linear_memory_keep_resident(if scan {
                KEEP_RESIDENT
            } else {
                KEEP_RESIDENT / 16
            })
            .table_keep_resident(KEEP_TABLE)
            .async_stack_keep_resident(0)
            .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
        pool
    }
}
#[cfg(feature = "run")]
pub(crate) use run::{on_demand, pooling};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_the_target_only() {
        let hashes: Vec<String> = TARGETS
            .iter()
            .map(|target| Compatibility::of_target(target).unwrap().hash)
            .collect();
        for (index, hash) in hashes.iter().enumerate() {
            assert_eq!(hash.len(), 32);
            assert!(!hashes[..index].contains(hash), "two targets share {hash}");
        }
        assert!(Compatibility::of_target("riscv64gc-unknown-linux-gnu").is_err());
    }

    #[test]
    fn the_profile_is_for_the_wasmtime_that_is_linked() {
        // `WASMTIME` is part of the hash; it must follow the lock file.
        assert_eq!(ENGINE, format!("wasmtime://{WASMTIME}"));
        let lock = include_str!("../../Cargo.lock");
        let found = lock
            .split("[[package]]")
            .find(|package| package.contains("name = \"wasmtime\"\n"))
            .and_then(|package| package.split("version = \"").nth(1))
            .unwrap();
        assert!(
            found.starts_with(WASMTIME),
            "raise WASMTIME to {}",
            &found[..8]
        );
    }
}
