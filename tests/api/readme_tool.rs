//! `roll_dice`: the sum of some dice.

use std::time::Duration;

use portcullis::tools::{Call, Hints, Spec, Tool, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `roll_dice`.
pub struct RollDice;

/// How many dice.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dice {
    /// How many, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    count: u32,
}

/// What came up.
#[derive(Serialize, JsonSchema)]
pub struct Rolled {
    /// The sum of all dice.
    sum: u32,
}

impl Tool for RollDice {
    const SPEC: Spec = Spec {
        name: "roll_dice",
        title: "Roll dice",
        about: "Rolls some dice of six sides and tells the sum.",
        needs: "dice:roll",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(1),
    };
    type Args = Dice;
    type Output = Rolled;

    async fn call(&self, dice: Dice, _: &Call<'_>) -> Result<Rolled, ToolError> {
        Ok(Rolled { sum: (0..dice.count).map(|_| rand::random_range(1..=6)).sum() })
    }
}
