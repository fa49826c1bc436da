namespace ValueFlow.Core.Values

open ValueFlow.Core.Foundations

/// Random models. Archibald, McKinnon and Thomas 1995, "On the generation of Markov decision processes".
[<RequireQualifiedAccess>]
module Garnet =

    /// A model in which every state and action leads to <c>branching</c> different states with probabilities that are uniform on the simplex, and
    /// earns a reward that is uniform on [0, 1).
    let create (generator: Generator) (states: int) (actions: int) (branching: int) : Model =
        if states < 1 then
            invalidArg (nameof states) $"states must be at least 1 but are {states}"

        if actions < 1 then
            invalidArg (nameof actions) $"actions must be at least 1 but are {actions}"

        if branching < 1 || branching > states then
            invalidArg (nameof branching) $"branching must lie in [1, {states}] but is {branching}"

        let builder = ModelBuilder states

        for s in 0 .. states - 1 do
            for a in 0 .. actions - 1 do
                let reward = generator.Uniform()
                let chances = Sampling.simplex generator branching

                Sampling.distinct generator branching states
                |> Array.iteri (fun i successor -> builder.Add(s, a, successor, chances[i], reward))

        builder.Initial 0

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidArg (nameof generator) (errors |> List.map ModelError.describe |> String.concat "; ")
