//! Tables that can be replaced by others: as good as those that are behind them.

use cityevents_views::{Switch, Views};

cityevents_views::contract_suite!(|| {
    let switch = Switch::new("main", Views::memory());
    switch.replace("other", &Views::memory());
    (switch.views(), ())
});
