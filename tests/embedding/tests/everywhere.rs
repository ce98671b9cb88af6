//! Every scenario, on every runtime.

use embedding::runtimes::{AsyncStd, Smol, TokioOneThread, TokioThreads};
use embedding::{chunks, operations, run};

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        macro_rules! on {
            ($runtime:ident, $place:ident) => {
                mod $place {
                    use super::*;

                    $($(
                        #[test]
                        fn $name() {
                            run::<$runtime>($module::$name::<$runtime>());
                        }
                    )+)+
                }
            };
        }
    };
}

scenarios! {
    chunks:
        a_chunk_comes_and_goes,
        awaiting_lets_others_run,
        the_manager_wakes_whoever_sleeps,
        a_timeout_takes_nothing_away,
        dropped_half_way_the_work_goes_on,
        it_may_move_between_tasks,
        many_are_awaited_at_once,
        what_is_superseded_ends,
        a_shutdown_ends_every_wait,
        our_sleep_bounds_a_wait;
    operations:
        a_join_handle_tells_how_it_went,
        a_job_is_awaited,
        an_operation_is_completed_from_the_runtime,
        sleeps_end_on_time,
        their_tasks_are_awaited_on_ours;
}

on!(TokioThreads, tokio_with_threads);
on!(TokioOneThread, tokio_on_one_thread);
on!(AsyncStd, async_std);
on!(Smol, smol);
