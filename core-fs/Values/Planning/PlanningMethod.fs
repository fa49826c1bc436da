namespace ValueFlow.Core.Values

open ValueFlow.Core.Foundations

/// A planning method by name: what a caller chooses from.
[<RequireQualifiedAccess>]
type PlanningMethod =
    /// Value iteration, and another method where that takes long: <c>AutomaticPlanning</c>.
    | Automatic
    /// Plain sweeps: <c>ValueIteration</c>.
    | ValueIteration
    /// Sweeps in which later states see new values: <c>GaussSeidel</c>.
    | GaussSeidel of order: SweepOrder
    /// The state first whose value may change the most: <c>PrioritisedSweeping</c>.
    | PrioritisedSweeping
    /// Steps from several images: <c>AcceleratedPlanning.anderson</c>.
    | Anderson of memory: int
    /// Images drawn back to the start by less and less: <c>AcceleratedPlanning.anchored</c>.
    | Anchored
    /// Improve and evaluate: <c>PolicyIteration.solve</c>.
    | PolicyIteration
    /// Improve and back up so many times: <c>PolicyIteration.solveModified</c>.
    | ModifiedPolicyIteration of backups: int

/// Runs planning methods by name.
[<RequireQualifiedAccess>]
module PlanningMethod =

    let private run checkpoint (method: PlanningMethod) given (options: RunOptions) (bellman: Bellman) : Solution =
        match method with
        | PlanningMethod.Automatic -> AutomaticPlanning.solveKept checkpoint given options bellman
        | PlanningMethod.ValueIteration -> ValueIteration.solveKept checkpoint given options bellman
        | PlanningMethod.GaussSeidel order -> GaussSeidel.solveKept checkpoint order given options bellman
        | PlanningMethod.PrioritisedSweeping -> PrioritisedSweeping.solveKept checkpoint given options bellman
        | PlanningMethod.Anderson memory -> AcceleratedPlanning.andersonKept checkpoint memory given options bellman
        | PlanningMethod.Anchored -> AcceleratedPlanning.anchoredKept checkpoint given options bellman
        | PlanningMethod.PolicyIteration -> PolicyIteration.solveKept checkpoint given options bellman
        | PlanningMethod.ModifiedPolicyIteration backups -> PolicyIteration.solveModifiedKept checkpoint backups given options bellman

    /// Solves from zero. An ArgumentException says what the method lacks in the operator.
    let solve (method: PlanningMethod) (options: RunOptions) (bellman: Bellman) : Solution = run ValueNone method ValueNone options bellman

    /// Solves from the caller's values, which it leaves as they are.
    let solveFrom (method: PlanningMethod) (start: float[]) (options: RunOptions) (bellman: Bellman) : Solution =
        run ValueNone method (ValueSome start) options bellman

    /// Solves with a checkpoint: a run that was stopped, or killed at any moment, goes on from the file where it stood, and ends with the answer of a run that was never stopped, bit for
    /// bit. The file is left when the run is done. A file of another method, model or operator, and a damaged one, is refused with an InvalidDataException; the tolerance and
    /// the budget may be others.
    let solveKept (checkpoint: PlanningCheckpointOptions) (method: PlanningMethod) (options: RunOptions) (bellman: Bellman) : Solution =
        run (ValueSome checkpoint) method ValueNone options bellman
