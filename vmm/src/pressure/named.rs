//! Profiles that have a name.

/// A profile with a name.
#[derive(Clone, Copy, Debug)]
pub struct NamedProfile {
    /// What the user writes.
    pub name: &'static str,
    /// The profile in full.
    pub text: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
}

/// All of them, in the order in which they are listed.
pub const NAMED: [NamedProfile; 5] = [
    NamedProfile {
        name: "default",
        text: "ramp:0-100%@0..3000/20+step:100%@4000,50%@4200,0@5000",
        about: "rises until nothing is left to take, holds, and lets go",
    },
    NamedProfile {
        name: "gentle",
        text: "ramp:0-40%@0..6000/12+step:0@9000",
        about: "takes what nobody needs",
    },
    NamedProfile {
        name: "squeeze",
        text: "step:100%@100,0@12000",
        about: "asks for everything at once and stays there",
    },
    NamedProfile {
        name: "sawtooth",
        text: "sawtooth:95%@0..12000*4/6",
        about: "rises and lets go, four times",
    },
    NamedProfile {
        name: "flutter",
        text: "sawtooth:60%@0..8000*20/1",
        about: "takes and gives back in quick turns",
    },
];
