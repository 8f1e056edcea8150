//! `offramp doctor`: which libtorch is linked, where it is, and what it can do on this machine.

use std::path::{Path, PathBuf};

use tch::{Cuda, Kind, Tensor};

use super::Failure;
use super::stdout::say;

/// Says which libtorch is linked and what it can do here.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  offramp doctor --json")]
pub struct Args {
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let libraries = loaded_libraries();
    let libtorch = libraries.iter().find(|l| l.ends_with("libtorch_cpu.so"));
    let folder = libtorch.and_then(|l| l.parent());
    let cuda_loaded = libraries.iter().any(|l| l.ends_with("libtorch_cuda.so"));
    let cuda_beside = folder.is_some_and(|f| f.join("libtorch_cuda.so").is_file());
    let facts = serde_json::json!({
        "offramp": env!("CARGO_PKG_VERSION"),
        "libtorch": folder.and_then(offramp::bench::libtorch_version),
        "libtorch_folder": folder,
        "cpu_features": cpu_features(),
        "threads": tch::get_num_threads(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "mkl": tch::utils::has_mkl(),
        "mkldnn": tch::utils::has_mkldnn(),
        "openmp": tch::utils::has_openmp(),
        "cuda_linked": cuda_loaded,
        "cuda_beside": cuda_beside,
        "cuda_visible": Cuda::is_available(),
        "cuda_devices": Cuda::device_count(),
        "bf16": bf16_works(),
        "diffusers_solvers": cfg!(feature = "diffusers"),
    });
    if args.json {
        return say!("{facts}");
    }
    if let serde_json::Value::Object(facts) = &facts {
        for (name, value) in facts {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            say!("{:<18} {text}", name.replace('_', " "))?;
        }
    }
    if let Some(hint) = cuda_hint(cuda_loaded, cuda_beside, folder) {
        say!("\n{hint}")?;
    }
    Ok(())
}

fn cuda_hint(loaded: bool, beside: bool, folder: Option<&Path>) -> Option<String> {
    if Cuda::is_available() {
        return None;
    }
    let folder = folder.unwrap_or(Path::new("libtorch/lib")).display();
    Some(match (loaded, beside) {
        (true, _) => "CUDA is linked and sees no device: check the driver (nvidia-smi).".into(),
        (false, true) => format!(
            "CUDA is there but not loaded: the linker drops what no symbol needs. Run with\n  \
             LD_PRELOAD={folder}/libtorch_cuda.so offramp …"
        ),
        (false, false) => "This libtorch is a CPU build. For CUDA: pip install torch==2.11.0 and build with \
             LIBTORCH_USE_PYTORCH=1."
            .into(),
    })
}

/// The shared libraries of this process, as the kernel lists them; empty where it does not.
fn loaded_libraries() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<PathBuf> = maps
        .lines()
        .filter_map(|l| l.split_whitespace().nth(5))
        .filter(|f| f.contains(".so"))
        .map(Into::into)
        .collect();
    files.dedup();
    files
}

fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![std::env::consts::ARCH]
    }
}

/// Whether a bf16 product comes out right.
fn bf16_works() -> bool {
    let ones = Tensor::f_ones([8, 8], (Kind::BFloat16, tch::Device::Cpu));
    let product = ones.and_then(|a| a.f_matmul(&a)).and_then(|p| p.f_sum(Kind::Float));
    product.and_then(|s| s.f_double_value(&[])).is_ok_and(|s| s == 512.0)
}
