/// Stochastic equations with the same marginals, forwards and backwards, and the bound on what a wrong drift costs.
module ValueFlow.FlowsTests.Interpolants.DriftTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private pair (draw: Draw) : Interpolant * PairLaw =
    let i = interpolant draw
    let first, last = ends i draw 2 1
    i, PairLaw.independent first last

let private difference (a: GaussianLaw) (b: GaussianLaw) : float =
    max (Array.map2 gap a.Mean b.Mean |> Array.max) (Seq.map2 gap (Seq.cast<float> a.Covariance) (Seq.cast<float> b.Covariance) |> Seq.max)

[<Fact>]
let ``the backward equation returns the law it came from`` () =
    // Y_u = X_(1 - u) follows dY = -(b - e s)(1 - u) du + sqrt(2 e) dW.
    let backward (share: float) (draw: Draw) =
        let i, law = pair draw
        let marginal t = (PairLaw.marginal i law t).Components[0]
        let drift = LinearDrift.ofNormal i law (fun _ -> share)

        let reversed: LinearDrift =
            {
                Slope = (fun u -> drift.Slope(1.0 - u) |> Array2D.map (~-))
                Offset = fun u -> drift.Offset(1.0 - u) |> Array.map (~-)
            }

        difference (LinearDrift.transport reversed (fun _ -> 0.5) 0.55 0.8 200 (marginal 0.45)) (marginal 0.2)

    holds 60 1e-6 (backward -0.5)
    refutes 60 1e-6 (backward 0.5)

[<Fact>]
let ``drifts are velocity plus and minus level times score, by each row's time`` () =
    let drifts (sign: float) (draw: Draw) =
        let i, law = pair draw
        let b, s = PairLaw.field i law Target.Velocity, PairLaw.field i law Target.Score
        let level = Schedule.create (fun t -> t * t) (fun t -> 2.0 * t)
        let times, x = innerTimes draw 3, points draw 40 3 2
        let t = vector times
        let step = (s.Apply t x).mul(table (times |> Array.map (fun t -> [| sign * t * t |])))

        max
            (distance ((Drifts.forward level b s).Apply t x) ((b.Apply t x).Plus step))
            (distance ((Drifts.backward level b s).Apply t x) ((b.Apply t x).sub step))

    holds 60 1e-12 (drifts 1.0)
    refutes 60 1e-12 (drifts -1.0)

// KL(rho_1 || rho_1') <= int (1/(4 e)) E|b - b'|^2 under the exact process.
let private bound (factor: float) (draw: Draw) : float =
    let i, law = pair draw
    let level t = 0.3 + 0.4 * t
    let marginal t = (PairLaw.marginal i law t).Components[0]
    let exact = LinearDrift.ofNormal i law level
    let u, v = 0.2 * number draw 90, 0.3 * number draw 91

    let other: LinearDrift =
        {
            Slope = (fun t -> exact.Slope t |> Array2D.mapi (fun r c a -> if r = c then a + u else a - 0.5 * u * t))
            Offset = fun t -> exact.Offset t |> Array.map (fun c -> c + v)
        }

    let a, b = 0.1, 0.9
    let wrong = LinearDrift.transport other level a b 150 (marginal a)

    GaussianLaw.divergence (marginal b) wrong
    - factor * LinearDrift.divergenceBound level marginal exact other a b 60

[<Fact>]
let ``the divergence of a perturbed drift stays below its bound`` () = holds 60 1e-7 (bound 1.0)

[<Fact>]
let ``a bound of one hundredth is refuted`` () = refutes 60 1e-7 (bound 0.01)

[<Fact>]
let ``slips are named, fields are pure and leave no tensor behind`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 1; Moment = 3; Numbers = [ 14; 3; 66 ] }
    let i, law = pair draw
    let b, s = PairLaw.field i law Target.Velocity, PairLaw.field i law Target.Score
    let x, t = points draw 0 3 2, vector [| 0.2; 0.4; 0.6 |]
    isPure 1L [ x; t ] (fun () -> [ (Drifts.forward (Schedule.constant 0.5) b s).Apply t x ])
    isPure 1L [ x; t ] (fun () -> [ (Drifts.backward (Schedule.constant 0.0) b s).Apply t x ])
    Assert.Contains("level", refusal (fun () -> (Drifts.forward (Schedule.constant -1.0) b s).Apply t x |> ignore))
    let mixed = PairLaw.independent (mixture draw 3 2 2) (mixture draw 9 2 2)
    Assert.Contains("components", refusal (fun () -> (LinearDrift.ofNormal i mixed (fun _ -> 0.0)) |> ignore))
