/// Targets: conversions are a groupoid on the open time interval.
module ValueFlow.FlowsTests.Interpolants.ConversionTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private targets =
    [ Target.Velocity; Target.Score; Target.Denoiser; Target.Start; Target.Endpoint; Target.ActionGradient ]

let private convert i known wanted time x answers = Conversion.apply (Conversion.between i known wanted time) x answers

let private exists i known wanted time =
    match Conversion.tryBetween i known wanted time with
    | Ok _ -> true
    | Error _ -> false

// Targets that x_t alone does not determine: only they are invertible answers of a model.
let private free i time = targets |> List.filter (fun target -> exists i [ target ] target time && not (exists i [] target time))

type private Convert = Interpolant -> Target list -> Target -> InteriorTime -> torch.Tensor -> torch.Tensor list -> torch.Tensor

// What a conversion makes of a unit error in x and in each answer: a result cannot be more exact than rounding times this.
let private sensitivity i known wanted time x (answers: torch.Tensor list) : float =
    let plain = values (convert i known wanted time x answers)
    let change moved = Array.fold2 (fun most a b -> max most (abs (a - b))) 0.0 (values moved) plain
    let shift (y: torch.Tensor) = Elementwise.plus 1.0 y

    change (convert i known wanted time (shift x) answers)
    + List.sum
        [
            for k in 0 .. answers.Length - 1 ->
                change (convert i known wanted time x (answers |> List.mapi (fun j y -> if j = k then shift y else y)))
        ]

let private size (x: torch.Tensor) : float = 1.0 + (values x |> Array.fold (fun most v -> max most (abs v)) 0.0)

let private error (a: torch.Tensor) (b: torch.Tensor) (scale: float) : float =
    Array.fold2 (fun most x y -> if x = x && y = y then max most (abs (x - y) / scale) else nan) 0.0 (values a) (values b)

let private roundTrip (convert: Convert) (draw: Draw) : float =
    let i, time = interpolant draw, InteriorTime.Rows(innerTimes draw 3)
    let x, answer = points draw 0 3 2, points draw 30 3 2
    let free = free i time

    [
        0.0
        for a in free do
            for b in free do
                if exists i [ a ] b time && exists i [ b ] a time then
                    let there = convert i [ a ] b time x [ answer ]

                    let scale =
                        (1.0 + sensitivity i [ b ] a time x [ there ])
                        * (size there + sensitivity i [ a ] b time x [ answer ] * size x)

                    error (convert i [ b ] a time x [ there ]) answer (scale + size answer)
    ]
    |> List.max

[<Fact>]
let ``there and back is the identity, for every interpolant, pair of targets and time`` () = holds 300 1e-11 (roundTrip convert)

let private flipped: Convert =
    fun i known wanted time x answers ->
        let result = convert i known wanted time x answers
        if wanted = Target.Score then result.neg () else result

[<Fact>]
let ``a score of the wrong sign is refuted`` () = refutes 300 1e-11 (roundTrip flipped)

[<Fact>]
let ``triangles commute`` () =
    let triangle (convert: Convert) (draw: Draw) =
        let i, time = interpolant draw, InteriorTime.At(innerTime draw)
        let x, answer = points draw 0 3 2, points draw 30 3 2
        let free = free i time

        [
            0.0
            for a in free do
                for b in free do
                    for c in targets do
                        if exists i [ a ] b time && exists i [ b ] c time && exists i [ b ] a time then
                            let there = convert i [ a ] b time x [ answer ]

                            let scale =
                                (1.0 + sensitivity i [ b ] c time x [ there ])
                                * (size there + sensitivity i [ a ] b time x [ answer ] * size x)

                            let direct = convert i [ a ] c time x [ answer ]

                            error
                                (convert i [ b ] c time x [ there ])
                                direct
                                (scale + sensitivity i [ a ] c time x [ answer ] * size x + size direct)
        ]
        |> List.max

    holds 200 1e-11 (triangle convert)
    refutes 200 1e-11 (triangle flipped)

// Conversions of exact targets are exact targets, whatever is known of them.
let private agreesWithClosedForm (known: Target list) (convert: Convert) (draw: Draw) : float =
    let i, t = interpolant draw, innerTime draw
    let first, last = ends i draw 2 2
    let law = PairLaw.independent first last
    let x = points draw 0 3 2
    let time = InteriorTime.At t
    let exact target = (PairLaw.field i law target).Apply (scalar t) x

    [
        0.0
        for wanted in targets do
            if exists i known wanted time then
                let given = known |> List.map exact
                let scale = (1.0 + sensitivity i known wanted time x given) * List.max (size x :: List.map size given)
                error (convert i known wanted time x given) (exact wanted) (scale + size (exact wanted))
    ]
    |> List.max

[<Fact>]
let ``conversions of the exact conditional means are the exact conditional means`` () =
    for known in
        [
            [ Target.Velocity ]
            [ Target.Score ]
            [ Target.Denoiser ]
            [ Target.Endpoint ]
            [ Target.Start ]
            [ Target.Velocity; Target.Score ]
            [ Target.Start; Target.Endpoint ]
            [ Target.Endpoint; Target.Denoiser ]
            []
        ] do
        holds 120 1e-9 (agreesWithClosedForm known convert)

[<Fact>]
let ``a velocity that forgets the noise is refuted`` () =
    let wrong: Convert =
        fun i known wanted time x answers ->
            let result = convert i known wanted time x answers
            if wanted = Target.Velocity then result.Plus(Elementwise.times 0.01 answers.Head) else result

    refutes 120 1e-9 (agreesWithClosedForm [ Target.Endpoint; Target.Denoiser ] wrong)

[<Fact>]
let ``conversions exist exactly where the algebra allows them`` () =
    let time = InteriorTime.At 0.3
    let oneSided = Interpolant.oneSided "one-sided" Schedule.remaining Schedule.time
    let bridge = Interpolant.brownianBridge 1.0
    // One Gaussian end: any one answer gives all others.
    for a in targets do
        for b in targets do
            Assert.True(exists oneSided [ a ] b time, $"{a} to {b}")

    // Two unknown ends: two answers are needed, and their action is not known.
    Assert.False(exists bridge [ Target.Velocity ] Target.Score time)
    Assert.True(exists bridge [ Target.Velocity; Target.Score ] Target.Endpoint time)
    Assert.True(exists bridge [ Target.Score ] Target.Denoiser time)
    Assert.False(exists bridge [ Target.Velocity; Target.Score ] Target.ActionGradient time)
    // Without latent noise there is no score to convert; start and endpoint follow from the velocity.
    Assert.False(exists (Interpolant.linear Latent.none) [ Target.Velocity ] Target.Score time)
    Assert.True(exists (Interpolant.linear Latent.none) [ Target.Velocity ] Target.Endpoint time)
    // Before half time an encoding has not seen x1, but noise and start share x_t.
    Assert.False(exists Interpolant.encodingDecoding [ Target.Velocity; Target.Score ] Target.Endpoint time)
    Assert.True(exists Interpolant.encodingDecoding [ Target.Velocity ] Target.Start time)
    Assert.True(exists Interpolant.encodingDecoding [ Target.Velocity ] Target.Endpoint (InteriorTime.At 0.7))
    // A mirror's velocity is its score.
    Assert.True(exists (Interpolant.mirror (Latent.brownian 1.0)) [ Target.Velocity ] Target.Score time)

    let words known wanted i =
        match Conversion.tryBetween i known wanted time with
        | Error refusal -> TargetRefusal.describe refusal
        | Ok _ -> ""

    Assert.Contains("does not follow", words [ Target.Velocity ] Target.Score bridge)
    Assert.Contains("gamma = 0", words [ Target.Velocity ] Target.Score (Interpolant.linear Latent.none))
    Assert.Contains("need not be a gradient", words [ Target.Velocity ] Target.ActionGradient bridge)

[<Fact>]
let ``singular ends cannot be written down`` () =
    for t in [ 0.0; 1.0; -0.1; 1.1; nan; infinity ] do
        Assert.True((InteriorTime.TryAt t).IsNone)
        Assert.True((InteriorTime.TryRows [| 0.5; t |]).IsNone)
        Assert.Contains("row 1", refusal (fun () -> InteriorTime.Rows [| 0.5; t |] |> ignore))

    Assert.Contains("row 2", refusal (fun () -> InteriorTime.OfTensor(torch.tensor [| 0.5f; 0.1f; 1.0f |]) |> ignore))
    let i = Interpolant.oneSided "one-sided" Schedule.remaining Schedule.time

    let model =
        PairLaw.field
            i
            (PairLaw.independent (MixtureLaw.single (GaussianLaw.standard 2)) (MixtureLaw.around [| [| 1.0; 0.0 |] |] 0.5))
            Target.Velocity

    let field = Conversion.field i [ Target.Velocity, model ] Target.Score
    Assert.Contains("open interval", refusal (fun () -> field.Apply (scalar 1.0) (table [| [| 0.0; 0.0 |] |]) |> ignore))

[<Fact>]
let ``a field by conversion equals the field itself, is pure and leaves no tensor behind`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 11; Moment = 400; Numbers = [ 3; 90; 14 ] }
    let i = interpolant draw
    let first, last = ends i draw 2 3
    let law = PairLaw.independent first last
    let field = Conversion.field i [ Target.Velocity, PairLaw.field i law Target.Velocity ] Target.Score
    let x, t = points draw 0 3 2, vector [| 0.2; 0.5; 0.9 |]
    Assert.True(distance (field.Apply t x) ((PairLaw.field i law Target.Score).Apply t x) < 1e-10)
    isPure 1L [ t; x ] (fun () -> [ field.Apply t x ])
