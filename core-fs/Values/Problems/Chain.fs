namespace ValueFlow.Core.Values

/// Chains: states in a row.
[<RequireQualifiedAccess>]
module Chain =

    let private built (builder: ModelBuilder) =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    let private require states =
        if states < 3 then
            invalidArg (nameof states) $"states must be at least 3 but are {states}"

    /// A random walk: one action, to the right with the probability, else to the left; both ends are terminal, and arriving at the right one, labelled
    /// "right", earns 1. From state i of n with p = 1/2 the right end is reached with probability i / (n - 1): the gambler's ruin.
    let randomWalk (states: int) (right: float) : Model =
        require states

        if not (right >= 0.0 && right <= 1.0) then
            invalidArg (nameof right) $"right must lie in [0, 1] but is {right}"

        let builder = ModelBuilder states
        builder.ActionNames [| "walk" |]
        builder.Terminal 0
        builder.Terminal(states - 1)
        builder.Label("left", 0, -1)
        builder.Label("right", states - 1, -1)
        builder.Initial((states - 1) / 2)

        for s in 1 .. states - 2 do
            builder.Add(s, 0, s - 1, 1.0 - right, 0.0)
            builder.Add(s, 0, s + 1, right, (if s + 1 = states - 1 then 1.0 else 0.0))

        built builder

    /// RiverSwim: swimming right against the current succeeds sometimes, drifting left always; staying at the left end earns 0.005, at the right end 1.
    /// Strehl and Littman 2008, "An analysis of model-based interval estimation for Markov decision processes".
    let riverSwim (states: int) : Model =
        require states
        let builder = ModelBuilder states
        builder.ActionNames [| "left"; "right" |]
        builder.Initial 0
        let last = states - 1

        for s in 0..last do
            builder.Add(s, 0, max 0 (s - 1), 1.0, (if s = 0 then 0.005 else 0.0))

            if s = 0 then
                builder.Add(s, 1, 0, 0.4, 0.0)
                builder.Add(s, 1, 1, 0.6, 0.0)
            elif s = last then
                builder.Add(s, 1, last - 1, 0.4, 0.0)
                builder.Add(s, 1, last, 0.6, 1.0)
            else
                builder.Add(s, 1, s - 1, 0.05, 0.0)
                builder.Add(s, 1, s, 0.6, 0.0)
                builder.Add(s, 1, s + 1, 0.35, 0.0)

        built builder
