/// Rewards from comparisons: the likelihood's maximum, its symmetries, and how fast it finds the truth.
module ValueFlow.Tests.Returns.BradleyTerryTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

let private comparisons (seed: int) =
    let generator = Generator seed
    let d = 1 + abs seed % 4
    let truth = Array.init d (fun _ -> 2.0 * Sampling.normal generator)

    Array.init (1 + abs seed % 60) (fun _ ->
        let difference = Array.init d (fun _ -> Sampling.normal generator)

        {
            Difference = difference
            FirstPreferred = generator.Uniform() < BradleyTerry.probability truth difference
        })

[<Fact>]
let ``no weights nearby are likelier, and the gradient vanishes`` () =
    let law (slip: float) (seed: int) =
        let comparisons = comparisons seed
        let fit = BradleyTerry.fit 0.1 comparisons
        let weights = fit.Weights |> Array.map (fun w -> w * slip + (slip - 1.0))
        let likelihood = BradleyTerry.logLikelihood 0.1 comparisons
        let value = likelihood weights

        let moved =
            [
                for i in 0 .. weights.Length - 1 do
                    for step in [ -1e-2; 1e-2; -1.0; 1.0 ] -> weights |> Array.mapi (fun j w -> if j = i then w + step else w)
            ]

        let slope i =
            let move step = likelihood (weights |> Array.mapi (fun j w -> if j = i then w + step else w))
            (move 1e-4 - move -1e-4) / 2e-4

        atMost (moved |> List.map likelihood |> List.max) value
        .&. atMost (Seq.max (seq { for i in 0 .. weights.Length - 1 -> abs (slope i) })) 1e-5
        .&. (if slip = 1.0 then same fit.LogLikelihood value else Prop.ofTestable true)

    holds (law 1.0)
    refuted (law 1.05)

[<Fact>]
let ``exchanging the segments changes nothing, exchanging the labels turns the reward round`` () =
    let law (sign: float) (seed: int) =
        let comparisons = comparisons seed
        let fit = (BradleyTerry.fit 0.1 comparisons).Weights
        let swapped = comparisons |> Array.map (fun c -> { c with FirstPreferred = not c.FirstPreferred })
        let exchanged = swapped |> Array.map (fun c -> { c with Difference = Array.map (~-) c.Difference })
        let near a b = (Array.forall2 (fun x y -> abs (x - y) < 1e-5 * (1.0 + abs y)) a b) |> Prop.label $"%A{a} = %A{b}"

        near (BradleyTerry.fit 0.1 exchanged).Weights fit
        .&. near (BradleyTerry.fit 0.1 swapped).Weights (Array.map ((*) sign) fit)

    holds (law -1.0)
    refuted (law 1.0)

[<Fact>]
let ``two answers to a question have probabilities that sum to one`` () =
    let law (slip: float) (seed: int) =
        let weights = (comparisons seed).[0].Difference
        let difference = weights |> Array.map (fun w -> w + 0.3)

        same
            (BradleyTerry.probability weights difference
             + BradleyTerry.probability weights (difference |> Array.map (fun x -> slip - x)))
            1.0

    holds (law 0.0)
    refuted (law 0.5)

[<Fact>]
let ``what no comparison tells apart stays at zero, separable labels stay finite, and more comparisons narrow the doubt`` () =
    let same' = Array.create 5 { Difference = [| 1.0; 0.0 |]; FirstPreferred = true }
    let fit = BradleyTerry.fit 1e-3 same'
    Assert.Equal(0.0, fit.Weights[1], 12)
    Assert.True(fit.Weights[0] > 1.0 && Double.IsFinite fit.Weights[0])
    let many = BradleyTerry.fit 1e-3 (Array.init 500 (fun i -> { Difference = [| 1.0; 0.0 |]; FirstPreferred = i % 3 > 0 }))
    Assert.True(many.Width [| 1.0; 0.0 |] < fit.Width [| 1.0; 0.0 |])
    Assert.Equal(log 2.0, many.Weights[0], 1)
    // A thousand units of difference do not overflow.
    let huge =
        BradleyTerry.fit
            1e-3
            [|
                { Difference = [| 1000.0 |]; FirstPreferred = true }
                { Difference = [| 1000.0 |]; FirstPreferred = false }
            |]

    Assert.Equal(0.0, huge.Weights[0], 9)

[<Fact>]
let ``bad input is named`` () =
    refuses "ridge" "0" (fun () -> BradleyTerry.fit 0.0 (comparisons 1))
    refuses "comparisons" "none" (fun () -> BradleyTerry.fit 1.0 [||])
    refuses "comparisons" "NaN" (fun () -> BradleyTerry.fit 1.0 [| { Difference = [| nan |]; FirstPreferred = true } |])

    refuses "comparisons" "2" (fun () ->
        BradleyTerry.fit
            1.0
            [|
                { Difference = [| 1.0 |]; FirstPreferred = true }
                { Difference = [| 1.0; 2.0 |]; FirstPreferred = true }
            |])

    refuses "difference" "2" (fun () -> BradleyTerry.probability [| 1.0 |] [| 1.0; 2.0 |])
