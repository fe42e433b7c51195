//! What `plan` says of what would come up only at the copy, the upgrade or the final sync.

use super::shop;
use super::upgrade::script;
use crate::support::Engine;

contract!(a_checkpoint_that_can_not_be_asked_is_told);

const CHECKPOINTS: &str = "[{name = 'some', sql = 'SELECT count(*) FROM parents', expect = 3}, \
                            {name = 'misspelt', sql = 'SELEC 1', expect = 1}, \
                            {name = 'made later', sql = 'SELECT count(*) FROM fresh', expect = 0}]";

async fn a_checkpoint_that_can_not_be_asked_is_told(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    let highwater = highwater.setting("database.main.checkpoint", CHECKPOINTS);
    let highwater = highwater.setting("upgrade.scripts", "[\"one.sql\"]");
    script(&highwater, "one.sql", "CREATE TABLE fresh (id INTEGER PRIMARY KEY);");
    let plan = highwater.run(&["plan"]).await.ok();
    let plan =
        plan.says("checkpoint \"misspelt\" can't be asked").says("checkpoint \"made later\" can't be asked");
    assert!(!plan.stdout.contains("checkpoint \"some\""), "{}", plan.stdout);
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.expect_code(4).says("misspelt");
    // Now nothing more is to be made.
    let plan = highwater.run(&["plan"]).await.expect_code(3);
    let plan = plan.says("checkpoint \"misspelt\" can't be asked");
    assert!(!plan.stdout.contains("made later"), "{}", plan.stdout);
}
