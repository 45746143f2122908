//! Somebody else's server with one tool of their own, through the library: authenticated, authorised,
//! limited in time, recorded, like every built-in tool.
//!
//! `cargo run --example embedded` prints a token and the command that calls the tool.

use std::{path::Path, time::Duration};

use portcullis::{
    actors::tokens::MintRequest,
    app,
    settings::Settings,
    tools::{Call, Hints, Spec, Tool, ToolError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `dice_roll`: the sum of some dice.
struct RollDice;

/// How many dice, of how many sides.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dice {
    /// How many dice, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    dice: u32,
    /// How many sides each has, 2 to 1000.
    #[schemars(range(min = 2, max = 1000))]
    sides: u32,
}

/// What came up.
#[derive(Serialize, JsonSchema)]
struct Rolled {
    /// The sum.
    sum: u32,
}

impl Tool for RollDice {
    const SPEC: Spec = Spec {
        name: "dice_roll",
        title: "Roll dice",
        about: "Rolls some dice and tells the sum.",
        needs: "dice:roll",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(1),
    };
    type Args = Dice;
    type Output = Rolled;

    async fn call(&self, args: Dice, _: &Call<'_>) -> Result<Rolled, ToolError> {
        let sum = (0..args.dice).map(|_| rand::random_range(1..=args.sides)).sum();
        Ok(Rolled { sum })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::development(Path::new("data/embedded"))?;
    settings.server.port = 0;
    settings.admin.port = 0;
    settings.permissions.extra = vec!["dice:roll".to_owned()];
    actix::System::new().block_on(async {
        let server = app::start(&settings, vec![Box::new(RollDice)]).await?;
        let minted = server
            .tokens()
            .mint(MintRequest {
                subject: "player".parse()?,
                client: "embedded".to_owned(),
                roles: Vec::new(),
                permissions: vec!["dice:roll".to_owned()],
                ttl: Duration::from_secs(1_800),
            })
            .await?;
        println!("{}", minted.token);
        eprintln!("{}", app::banner(&settings, server.mcp_url(), server.admin_url()));
        if let Some(password) = server.first_password() {
            eprintln!("{}", app::first_account(password));
        }
        server.run().await?;
        Ok(())
    })
}
