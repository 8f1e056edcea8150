//! The text form of a [`SolverSpec`]: `name[:key=value,…]`.

use std::fmt::{self, Display, Formatter, Write};
use std::str::FromStr;

use super::SolverError;
use super::ddpm::Variance;
use super::grid::{FinalSigma, Spacing};
use super::method::{AdapterName, Method};
use super::spec::SolverSpec;
use super::unipc::BhType;

// Each name with the method it means, options at their defaults.
const NAMES: [(&str, Method); 27] = [
    ("ddim", Method::Ddim { eta: 0.0 }),
    ("ddpm", Method::Ddpm { variance: Variance::FixedSmall }),
    ("dpm-solver-2", Method::DpmSolver { order: 2 }),
    ("dpm-solver-3", Method::DpmSolver { order: 3 }),
    ("dpm-solver-2m", Method::DpmSolverMultistep { order: 2 }),
    ("dpm-solver-3m", Method::DpmSolverMultistep { order: 3 }),
    ("dpm-solver++1", Method::DpmSolverPp { order: 1 }),
    ("dpm-solver++2m", Method::DpmSolverPp { order: 2 }),
    ("dpm-solver++3m", Method::DpmSolverPp { order: 3 }),
    ("dpm-solver++2s", Method::DpmSolverPpSingle { order: 2 }),
    ("dpm-solver++3s", Method::DpmSolverPpSingle { order: 3 }),
    ("dpm-solver++2m-sde", Method::DpmSolverPpSde),
    ("euler", Method::Euler),
    ("euler-ancestral", Method::EulerAncestral),
    ("heun", Method::Heun),
    ("unipc", Method::UniPc { order: 2, bh: BhType::Bh2 }),
    ("diffusers:ddim", Method::Adapter(AdapterName::Ddim)),
    ("diffusers:dpm-solver-2m", Method::Adapter(AdapterName::DpmSolver { order: 2 })),
    ("diffusers:dpm-solver-3m", Method::Adapter(AdapterName::DpmSolver { order: 3 })),
    ("diffusers:dpm-solver++1", Method::Adapter(AdapterName::DpmSolverPp { order: 1 })),
    ("diffusers:dpm-solver++2m", Method::Adapter(AdapterName::DpmSolverPp { order: 2 })),
    ("diffusers:dpm-solver++3m", Method::Adapter(AdapterName::DpmSolverPp { order: 3 })),
    ("diffusers:euler", Method::Adapter(AdapterName::Euler)),
    ("diffusers:heun", Method::Adapter(AdapterName::Heun)),
    ("diffusers:lms", Method::Adapter(AdapterName::Lms)),
    ("diffusers:pndm", Method::Adapter(AdapterName::Pndm)),
    ("diffusers:k-dpm-2", Method::Adapter(AdapterName::KDpm2)),
];

// Other spellings of a name.
const ALIASES: [(&str, &str); 1] = [("diffusers:kdpm2", "diffusers:k-dpm-2")];

// Schedulers of the diffusers crate that add noise.
const DRAWS_GLOBALLY: [&str; 3] =
    ["diffusers:ddpm", "diffusers:euler-ancestral", "diffusers:k-dpm-2-ancestral"];

const DRAWS_REASON: &str =
    "it draws its noise from libtorch's global generator, so an image would depend on what else is sampled";

const SPACINGS: [(&str, Spacing); 3] =
    [("leading", Spacing::Leading), ("trailing", Spacing::Trailing), ("linspace", Spacing::Linspace)];
const FINALS: [(&str, FinalSigma); 2] = [("zero", FinalSigma::Zero), ("sigma_min", FinalSigma::SigmaMin)];
const VARIANCES: [(&str, Variance); 3] = [
    ("fixed_small", Variance::FixedSmall),
    ("fixed_large", Variance::FixedLarge),
    ("learned_range", Variance::LearnedRange),
];
const BH_TYPES: [(&str, BhType); 2] = [("bh1", BhType::Bh1), ("bh2", BhType::Bh2)];

impl SolverSpec {
    /// All names, without options.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The name without options.
    pub fn name(&self) -> &'static str {
        // Methods are compared without their options, except for the order where it is part of the name.
        let same = |method: &Method| match (method, &self.method) {
            (Method::Ddim { .. }, Method::Ddim { .. })
            | (Method::Ddpm { .. }, Method::Ddpm { .. })
            | (Method::UniPc { .. }, Method::UniPc { .. }) => true,
            (a, b) => a == b,
        };
        NAMES.iter().find(|(_, method)| same(method)).map_or("(unnamed)", |(name, _)| name)
    }

    /// The options it can have.
    fn keys(&self) -> &'static [&'static str] {
        match self.method {
            Method::Ddim { .. } => &["eta", "spacing", "offset", "final"],
            Method::Ddpm { .. } => &["variance", "spacing", "offset", "final"],
            Method::UniPc { .. } => &["order", "type", "spacing", "offset", "final"],
            Method::Adapter(_) => &[],
            _ => &["spacing", "offset", "final"],
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SolverError> {
        if self.method == Method::Adapter(AdapterName::Ddim) && key == "eta" {
            return match number::<f64>(key, value, "0")? {
                0.0 => Ok(()),
                _ => Err(refused(&format!("{}:eta={value}", self.name()), DRAWS_REASON)),
            };
        }
        if !self.keys().contains(&key) {
            let known = match self.keys() {
                [] => String::new(),
                keys => format!("it has {}", keys.join(", ")),
            };
            return Err(SolverError::UnknownKey { solver: self.name().into(), key: key.into(), known });
        }
        match (key, &mut self.method) {
            ("eta", Method::Ddim { eta }) => *eta = number(key, value, "a number from 0 to 1")?,
            ("variance", Method::Ddpm { variance }) => {
                *variance = choice(key, value, &VARIANCES, "fixed_small, fixed_large or learned_range")?;
            }
            ("order", Method::UniPc { order, .. }) => *order = number(key, value, "1, 2 or 3")?,
            ("type", Method::UniPc { bh, .. }) => *bh = choice(key, value, &BH_TYPES, "bh1 or bh2")?,
            ("spacing", _) => self.spacing = choice(key, value, &SPACINGS, "leading, trailing or linspace")?,
            ("offset", _) => self.offset = number(key, value, "a whole number")?,
            _ => self.final_sigma = choice(key, value, &FINALS, "zero or sigma_min")?,
        }
        Ok(())
    }
}

impl FromStr for SolverSpec {
    type Err = SolverError;

    /// # Errors
    /// An unknown name or option, a value that an option cannot have, options that do not fit together.
    fn from_str(text: &str) -> Result<Self, SolverError> {
        let prefix = if text.starts_with("diffusers:") { "diffusers:".len() } else { 0 };
        let (name, options) = match text[prefix..].find(':') {
            Some(colon) => (&text[..prefix + colon], Some(&text[prefix + colon + 1..])),
            None => (text, None),
        };
        if DRAWS_GLOBALLY.contains(&name) {
            return Err(refused(name, DRAWS_REASON));
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let method = NAMES.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(name))?.1;
        let mut spec = SolverSpec::new(method);
        let mut seen: Vec<&str> = Vec::new();
        for option in options.into_iter().flat_map(|o| o.split(',')) {
            let (key, value) = option.split_once('=').ok_or_else(|| SolverError::InvalidValue {
                key: option.into(),
                value: String::new(),
                expected: "options are written key=value, separated by commas",
            })?;
            if seen.contains(&key) {
                return Err(SolverError::RepeatedKey { key: key.into() });
            }
            seen.push(key);
            spec.set(key, value)?;
        }
        spec.check()?;
        Ok(spec)
    }
}

impl Display for SolverSpec {
    /// The name and the options that are not at their defaults; parsing it gives the same spec.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(name)?;
        let default = NAMES.iter().find(|(n, _)| *n == name).map(|(_, method)| SolverSpec::new(*method));
        let default = default.unwrap_or(*self);
        let mut joint = ':';
        let mut option = |key: &str, value: &dyn Display| {
            f.write_char(joint)?;
            joint = ',';
            write!(f, "{key}={value}")
        };
        match self.method {
            Method::Ddim { eta } if eta != 0.0 => option("eta", &eta)?,
            Method::Ddpm { variance } if self.method != default.method => {
                option("variance", &text_of(variance, &VARIANCES))?;
            }
            Method::UniPc { order, bh } => {
                if order != 2 {
                    option("order", &order)?;
                }
                if bh != BhType::Bh2 {
                    option("type", &text_of(bh, &BH_TYPES))?;
                }
            }
            _ => {}
        }
        if self.spacing != default.spacing {
            option("spacing", &text_of(self.spacing, &SPACINGS))?;
        }
        if self.offset != 0 {
            option("offset", &self.offset)?;
        }
        if self.final_sigma != default.final_sigma {
            option("final", &text_of(self.final_sigma, &FINALS))?;
        }
        Ok(())
    }
}

impl TryFrom<String> for SolverSpec {
    type Error = SolverError;

    fn try_from(text: String) -> Result<Self, SolverError> {
        text.parse()
    }
}

impl From<SolverSpec> for String {
    fn from(spec: SolverSpec) -> String {
        spec.to_string()
    }
}

fn refused(solver: &str, reason: &str) -> SolverError {
    SolverError::Refused { solver: solver.into(), reason: reason.into() }
}

fn unknown(name: &str) -> SolverError {
    let lower = name.to_lowercase();
    let nearest = SolverSpec::names()
        .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len() / 2)
        .map(|(_, known)| known);
    let known = SolverSpec::names().collect::<Vec<_>>().join(", ");
    SolverError::UnknownSolver { name: name.into(), nearest, known }
}

fn number<T: FromStr>(key: &str, value: &str, expected: &'static str) -> Result<T, SolverError> {
    value.parse().map_err(|_| SolverError::InvalidValue { key: key.into(), value: value.into(), expected })
}

fn choice<T: Copy>(
    key: &str,
    value: &str,
    choices: &[(&str, T)],
    expected: &'static str,
) -> Result<T, SolverError> {
    let found = choices.iter().find(|(text, _)| *text == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| SolverError::InvalidValue { key: key.into(), value: value.into(), expected })
}

fn text_of<T: PartialEq>(value: T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, choice)| *choice == value).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<SolverSpec>().unwrap_err().to_string()
    }

    #[test]
    fn every_name_is_read_back() {
        for name in SolverSpec::names() {
            assert_eq!(name.parse::<SolverSpec>().unwrap().to_string(), name);
        }
        for text in [
            "ddim:eta=0.5,spacing=trailing",
            "ddim:offset=1,final=sigma_min",
            "ddpm:variance=learned_range",
            "unipc:order=3,type=bh1,final=sigma_min",
            "dpm-solver-2:spacing=leading",
        ] {
            assert_eq!(text.parse::<SolverSpec>().unwrap().to_string(), text);
        }
        let short: SolverSpec = "ddim:eta=0,spacing=leading,final=zero".parse().unwrap();
        assert_eq!(short.to_string(), "ddim");
        let json = serde_json::to_string(&short).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str::<SolverSpec>(&json).unwrap()), ("\"ddim\"", short));
    }

    #[test]
    fn another_spelling_is_read_and_the_name_is_written() {
        for (alias, name) in ALIASES {
            let spec: SolverSpec = alias.parse().unwrap();
            assert_eq!((spec, spec.to_string().as_str()), (name.parse().unwrap(), name));
        }
    }

    #[test]
    fn errors_name_what_is_wrong_and_what_would_be_right() {
        assert!(error("dmp-solver++2m").contains("did you mean \"dpm-solver++2m\"?"));
        assert!(error("DDIM").contains("did you mean \"ddim\"?"));
        assert!(error("completely different").contains("known are ddim, ddpm, "));
        assert!(!error("completely different").contains("did you mean"));
        assert!(error("euler:eta=1").contains("euler has no option \"eta\"; it has spacing, offset, final"));
        assert!(error("diffusers:lms:order=2").contains("no option \"order\"; it has none"));
        assert!(error("ddim:eta=x").contains("a number from 0 to 1"));
        assert!(error("ddim:eta=2").contains("a number from 0 to 1"));
        assert!(error("unipc:order=4").contains("1, 2 or 3"));
        assert!(error("ddim:eta=1,eta=1").contains("twice"));
        assert!(error("ddim:").contains("key=value"));
        assert!(error("euler:offset=1").contains("only a leading grid"));
        assert!(error("dpm-solver-2:final=zero").contains("log-SNR is infinite"));
    }

    #[test]
    fn schedulers_with_a_global_generator_are_refused() {
        for name in DRAWS_GLOBALLY {
            assert!(error(name).contains(name) && error(name).contains("global generator"));
        }
        assert!(error("diffusers:ddim:eta=0.5").contains("global generator"));
        assert_eq!("diffusers:ddim:eta=0".parse::<SolverSpec>().unwrap().to_string(), "diffusers:ddim");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", name in 0usize..27, tail in "[a-z_:,=0-9.]{0,30}") {
            for text in [text, format!("{}:{tail}", NAMES[name].0)] {
                if let Ok(spec) = text.parse::<SolverSpec>() {
                    prop_assert_eq!(spec.to_string().parse::<SolverSpec>().unwrap(), spec);
                }
            }
        }

        #[test]
        fn any_eta_is_read_back(eta in 0.0f64..=1.0) {
            let spec = SolverSpec::new(Method::Ddim { eta });
            prop_assert_eq!(spec.to_string().parse::<SolverSpec>().unwrap(), spec);
        }
    }
}
