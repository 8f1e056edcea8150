//! Plans that cannot be: each is refused by its key, before anything is run or written.

use tiny_model::{Run, Workplace};

mod tiny_model;

/// A plan that runs.
const PLAN: &str = r#"
name = "tiny"
weights = ["tiny"]
steps = [4]
exit = ["schedule:stairs"]
batch = [2]
threads = 1
n = 8
error-images = 2
"#;

/// The plan with some lines replaced; a line is known by its key.
fn with(lines: &str) -> String {
    let key = |line: &str| line.split_once(" =").map(|(key, _)| key.to_owned());
    let new: Vec<String> = lines.lines().take_while(|l| !l.starts_with('[')).filter_map(key).collect();
    let kept: String =
        PLAN.lines().filter(|l| key(l).is_none_or(|k| !new.contains(&k))).map(|l| format!("{l}\n")).collect();
    format!("{kept}{lines}\n")
}

#[test]
fn bad_plans_are_refused_by_their_key() {
    for (lines, mentions) in [
        ("stepz = [4]", &["unknown key \"stepz\"", "did you mean \"steps\""][..]),
        ("[baselines]\nfixt = [1]", &["baselines.fixt", "did you mean \"fixed\""]),
        ("[[point]]\nexitt = \"full\"", &["point.exitt", "did you mean \"exit\""]),
        ("[left-out]\nfixd = \"no time\"", &["left-out.fixd", "did you mean \"fixed\""]),
        ("n = \"many\"", &["n = \"many\"", "invalid type"]),
        ("n = 1", &["n = 1", "two images"]),
        ("n = 9", &["n = 9", "8 or 10"]),
        ("n = 2", &["n = 2", "n = 4 or more"]),
        ("rounds = 5", &["rounds = 5", "2 to 4"]),
        ("rounds = 1", &["rounds = 1"]),
        ("batch = [0]", &["batch = 0"]),
        ("batch = []", &["batch = []"]),
        ("steps = [0]", &["steps = 0"]),
        ("steps = [4, 4]", &["twice", "× 4"]),
        ("threads = 0", &["threads = 0"]),
        ("dtype = [\"f16\"]", &["dtype = \"f16\"", "bf16"]),
        ("name = \"../up\"", &["name = \"../up\""]),
        ("labels = \"random\"", &["labels", "random"]),
        ("weights = [\"none\"]", &["weights = \"none\""]),
        ("solver = [\"ddmi\"]", &["solver = \"ddmi\""]),
        ("exit = [\"half\"]", &["exit = \"half\""]),
        ("exit = [\"fixed:4\"]", &["fixed:4", "3 blocks"]),
        ("exit = [\"schedule:none\"]", &["no schedule \"none\""]),
        ("exit = [\"fixed:2\", \"fixed:2\"]\n[baselines]\nfixed = [1]", &["exit fixed:2", "twice"]),
        ("tail = [\"foot\"]", &["tail = \"foot\""]),
        ("exit = [\"full\"]\ntail = [\"residual\"]", &["tail = \"residual\"", "skips none"]),
        ("[[point]]\nexit = \"full\"\ntail = \"residual\"", &["point.tail", "skips none"]),
        (
            "[[point]]\nexit = \"fixed:2\"\n[[point]]\nexit = \"fixed:2\"\n[baselines]\nfixed = [1]",
            &["twice"],
        ),
        ("[baselines]\nfewer-steps = [4]", &["baselines.fewer-steps = 4", "1 to 3"]),
        ("[baselines]\nfixed = [9]", &["fixed:9"]),
        ("[baselines]\nfixed = []", &["baselines.fixed", "left-out.fixed"]),
        ("[baselines]\nfirst-block-cache = []", &["first-block-cache", "left-out.first-block-cache"]),
        ("[baselines]\nfirst-block-cache = [-0.1]", &["first-block-cache = -0.1", "from 0"]),
        ("[baselines]\nfirst-block-cache = [0.1, 0.1]", &["change:0.1", "twice"]),
        ("[peers]\nrounds = 0", &["peers.rounds = 0"]),
        ("[peers]\nnames = []", &["peers.names = []"]),
        ("n = 1000000000000", &["n = 1000000000000"]),
        ("batch = [9223372036854775807, 2]", &["batch = 9223372036854775807"]),
        ("error-images = 1000000000000", &["error-images = 1000000000000"]),
        ("guidance = [nan]", &["guidance"]),
        ("steps = [1]", &["no baseline fewer-steps", "left-out.fewer-steps"]),
        ("[left-out]\nfull = \"slow\"", &["left-out.full"]),
        ("[left-out]\nfixed = \" \"", &["left-out.fixed", "a reason is needed"]),
        ("[left-out]\nfixed = \"slow\"\n[baselines]\nfixed = [1]", &["left-out.fixed", "asks for it"]),
        ("extractors = [\"pixels\"]", &["extractors", "reference"]),
        ("reference = \"x\"", &["reference = \"x\"", "extractors"]),
        ("extractors = [\"pixels\"]\nreference = \"x\"\nfloor = \"x\"", &["floor = \"x\""]),
        ("extractors = [\"pixels\"]\nreference = \"x\"\nfloor = \"y\"", &["reference = \"x\""]),
        ("extractors = [\"pixel\"]\nreference = \"x\"\nfloor = \"y\"", &["extractors = \"pixel\""]),
        ("[peers]\nnames = [\"other\"]", &["peers.names = \"other\""]),
        ("[score]\nreference = \"best\"", &["score.reference = \"best\""]),
        ("name = ", &["line", "name ="]),
    ] {
        let place = Workplace::new();
        place.write("plan.toml", with(lines));
        place.refuses(place.command("bench plan.toml --out results"), mentions);
    }
}

#[test]
fn guidance_needs_a_null_class() {
    let place = Workplace::new();
    let mut config = tiny_model::config();
    config["null_class"] = serde_json::Value::Null;
    place.set_model(&config, &tiny_model::tensors(&config));
    place.write("plan.toml", with("guidance = [1.0, 1.5]"));
    place.refuses(place.command("bench plan.toml --out results"), &["guidance 1.5", "null class"]);
}

#[test]
fn shards_and_folders_that_cannot_be_are_refused() {
    let place = Workplace::new();
    place.write("plan.toml", with(""));
    for (words, mentions) in [
        ("bench none.toml", &["none.toml"][..]),
        ("bench plan.toml --shard 0/2", &["0/2"]),
        ("bench plan.toml --shard 3/2", &["3/2"]),
        ("bench plan.toml --shard 1/3", &["4 rounds", "rounds = 6"]),
        ("bench --merge none --out merged", &["plan.json"]),
        ("bench", &["PLAN"]),
    ] {
        place.refuses(place.command(words), mentions);
    }
    Run::ok(&mut place.command("bench plan.toml --out whole --quiet"));
    place.refuses(place.command("bench --merge whole --out merged"), &["whole", "no shard"]);
    place.write("plan.toml", with("n = 16"));
    place.refuses(place.command("bench plan.toml --out whole"), &["n = 8", "has 16"]);
    place.write("plan.toml", with(""));
    let mut config = tiny_model::config();
    config["null_class"] = serde_json::Value::Null;
    place.set_model(&config, &tiny_model::tensors(&config));
    place.refuses(place.command("bench plan.toml --out whole"), &["sha256 of tiny"]);
}
