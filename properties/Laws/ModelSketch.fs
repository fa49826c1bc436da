namespace ValueFlow.Laws

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// One outcome of a row: where it leads, how much it weighs against the row's other outcomes, what it earns, and the share of the discount that
/// applies afterwards.
type OutcomeSketch =
    {
        /// The successor.
        Next: int
        /// A positive whole number; the probability is its share of the row's sum.
        Weight: int
        /// The reward.
        Reward: float
        /// 1 as a rule, 0 where the episode ends.
        Continuation: float
    }

    /// 3*->1: 0.5 for weight 3, successor 1, reward 0.5.
    override this.ToString() =
        let ends = if this.Continuation = 1.0 then "" else $" ends {1.0 - this.Continuation}"
        $"{this.Weight}*->{this.Next}: {ModelError.number this.Reward}{ends}"

/// A small decision process as plain data that prints and shrinks: for each state its actions (none: terminal; an action that is missing is masked),
/// for each action its outcomes.
type ModelSketch =
    {
        /// The discount, in [0, 1).
        Discount: float
        /// For each state its actions, by number.
        States: (int * OutcomeSketch list) list list
    }

    /// One line for each state and action.
    override this.ToString() =
        let rows =
            this.States
            |> List.mapi (fun s actions ->
                if actions.IsEmpty then
                    [ $"  state {s}: terminal" ]
                else
                    actions
                    |> List.map (fun (a, outcomes) ->
                        let text = outcomes |> List.map string |> String.concat ", "
                        $"  state {s}, action {a}: {text}"))
            |> List.concat

        String.concat "\n" ($"discount {ModelError.number this.Discount}" :: rows)

/// Random decision processes, what they are like, and smaller ones like them.
[<RequireQualifiedAccess>]
module ModelSketch =

    /// The model of a sketch.
    let toModel (sketch: ModelSketch) : Model =
        let builder = ModelBuilder sketch.States.Length

        sketch.States
        |> List.iteri (fun s actions ->
            if actions.IsEmpty then
                builder.Terminal s

            for a, outcomes in actions do
                let total = outcomes |> List.sumBy _.Weight |> float

                for outcome in outcomes do
                    builder.AddContinuing(s, a, outcome.Next, float outcome.Weight / total, outcome.Reward, outcome.Continuation, -1))

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidArg (nameof sketch) (errors |> List.map ModelError.describe |> String.concat "; ")

    let private pick (generator: Generator) (choices: 'a list) = choices[generator.Below choices.Length]

    /// A random sketch of at most six states and four actions.
    let generate (generator: Generator) : ModelSketch =
        let states = 1 + generator.Below 6
        let actions = 1 + generator.Below 4
        let chance share = generator.Uniform() < share
        let ties, terminals, masks, missing = chance 0.4, chance 0.4, chance 0.4, chance 0.25
        let scale = pick generator [ 1.0; 1.0; 10.0; 1e4; 1e8 ]

        let outcome successor =
            {
                Next = successor
                Weight = 1 + generator.Below(if ties then 2 else 20)
                Reward =
                    if ties then
                        scale * float (generator.Below 3 - 1)
                    else
                        scale * Math.Round(2.0 * generator.Uniform() - 1.0, 3)
                Continuation = if missing && chance 0.3 then pick generator [ 0.0; 0.5 ] else 1.0
            }

        let row () = Sampling.distinct generator (1 + generator.Below states) states |> List.ofArray |> List.map outcome

        {
            Discount = pick generator [ 0.0; 0.5; 0.9; 0.95; 0.99; 0.999; 0.9999 ]
            States =
                [
                    for s in 0 .. states - 1 do
                        if terminals && s > 0 && chance 0.4 then
                            []
                        else
                            let kept = generator.Below actions

                            [
                                for a in 0 .. actions - 1 do
                                    if a = kept || not masks || chance 0.5 then
                                        a, row ()
                            ]
                ]
        }

    /// What a sketch is like: labels that reports count.
    let labels (sketch: ModelSketch) : string list =
        let rows = sketch.States |> List.concat
        let outcomes = rows |> List.collect snd
        let rewards = outcomes |> List.map _.Reward
        let most = sketch.States |> List.map List.length |> List.fold max 0

        [
            if rewards.Length > 1 && (List.distinct rewards).Length < rewards.Length then
                "ties"
            if sketch.States |> List.exists (fun actions -> not actions.IsEmpty && actions.Length < most) then
                "masks"
            if sketch.States |> List.exists List.isEmpty then
                "terminals"
            if outcomes |> List.exists (fun outcome -> outcome.Continuation < 1.0) then
                "missing mass"
            if sketch.Discount >= 0.99 then
                "discount near one"
            if sketch.States.Length = 1 then
                "single state"
            if rewards |> List.exists (fun r -> abs r > 1e6) then
                "large rewards"
        ]

    /// The least share of cases that must carry each label, in percent: with less a law has not been tried where operators go wrong.
    let minimums: (string * float) list =
        [
            "ties", 20.0
            "masks", 15.0
            "terminals", 15.0
            "missing mass", 8.0
            "discount near one", 25.0
            "single state", 5.0
            "large rewards", 8.0
        ]

    // Numbers nearer to zero, rounder ones first.
    let internal smaller (x: float) : float list =
        [ 0.0; Math.Truncate x; Math.Round(x / 2.0); Math.Round(x, 1) ]
        |> List.distinct
        |> List.filter (fun y -> y <> x && abs y <= abs x && (abs y < abs x || Math.Truncate y = y))

    let private without index list = List.removeAt index list

    /// The sketch without a state: transitions to it stay where they are.
    let dropState (sketch: ModelSketch) (state: int) : ModelSketch =
        let renumber own next =
            if next = state then own
            elif next > state then next - 1
            else next

        { sketch with
            States =
                sketch.States
                |> without state
                |> List.mapi (fun s actions ->
                    actions
                    |> List.map (fun (a, outcomes) ->
                        let moved = outcomes |> List.map (fun outcome -> { outcome with Next = renumber s outcome.Next })
                        // One outcome for each successor: the first stays.
                        a, moved |> List.distinctBy _.Next))
        }

    /// Smaller sketches with as many states: fewer actions, then fewer outcomes, then rounder numbers.
    let shrink (sketch: ModelSketch) : seq<ModelSketch> =
        let replace s actions = { sketch with States = sketch.States |> List.updateAt s actions }

        seq {
            for s, actions in List.indexed sketch.States do
                if not actions.IsEmpty then
                    yield replace s []

                if actions.Length > 1 then
                    for i in 0 .. actions.Length - 1 do
                        yield replace s (without i actions)

                for i, (a, outcomes) in List.indexed actions do
                    let replaceRow changed = replace s (List.updateAt i (a, changed) actions)

                    if outcomes.Length > 1 then
                        for k in 0 .. outcomes.Length - 1 do
                            yield replaceRow (without k outcomes)

                    for k, outcome in List.indexed outcomes do
                        if outcome.Weight > 1 then
                            yield replaceRow (List.updateAt k { outcome with Weight = 1 } outcomes)

                        if outcome.Continuation < 1.0 then
                            yield replaceRow (List.updateAt k { outcome with Continuation = 1.0 } outcomes)

                        for reward in smaller outcome.Reward do
                            yield replaceRow (List.updateAt k { outcome with Reward = reward } outcomes)

            for discount in [ 0.0; 0.5; 0.9 ] do
                if discount < sketch.Discount then
                    yield { sketch with Discount = discount }
        }
