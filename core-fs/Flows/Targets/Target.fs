namespace ValueFlow.Core.Flows

open TorchSharp

/// What a model of a transport may be asked for at (t, x): each is a conditional mean given x_t = x. Write e for the standard normal noise in x_t and s for its
/// standard deviation: e = z, s = gamma as a rule; with a Gaussian start s e = alpha x0 + gamma z.
[<RequireQualifiedAccess>]
type Target =
    /// b = E[alpha' x0 + beta' x1 + gamma' z | x_t = x]: the velocity that carries the marginal laws.
    | Velocity
    /// grad log p_t(x) = -E[e | x_t = x] / s.
    | Score
    /// eta = E[e | x_t = x].
    | Denoiser
    /// E[x0 | x_t = x].
    | Start
    /// E[x1 | x_t = x].
    | Endpoint
    /// grad_x of the action of which b is the gradient: equal to b where one end is Gaussian noise, unknown elsewhere.
    | ActionGradient

/// Why a target is not to be had.
[<RequireQualifiedAccess>]
type TargetRefusal =
    /// Nothing in x_t is known to be normal at the time: score and noise do not follow from x0, x1 and z.
    | NoNoise of target: Target * time: float
    /// The velocity of an interpolant between two unknown laws need not be a gradient.
    | NotAGradient
    /// A number of the target is not finite at the time.
    | Singular of target: Target * time: float
    /// What is known does not determine what is wanted at the time.
    | NotDetermined of known: Target list * wanted: Target * time: float

/// Words for refusals.
[<RequireQualifiedAccess>]
module TargetRefusal =

    /// The sentence for a refusal.
    let describe (refusal: TargetRefusal) : string =
        match refusal with
        | TargetRefusal.NoNoise(target, time) ->
            $"{target} needs noise in x_t at t = {time}, but gamma = 0 there and neither end is known to be Gaussian noise"
        | TargetRefusal.NotAGradient ->
            "the action's gradient equals the velocity only where one end is Gaussian noise; between two unknown laws the velocity need not be a gradient"
        | TargetRefusal.Singular(target, time) -> $"{target} is singular at t = {time}"
        | TargetRefusal.NotDetermined(known, wanted, time) ->
            let names = known |> List.map string |> String.concat ", "
            $"{wanted} at t = {time} does not follow from x_t and {names} for this interpolant"

/// A linear form of (x0, x1, z).
[<Struct>]
type internal Form = { Start: float; Finish: float; Noise: float }

/// Targets as regressions.
[<RequireQualifiedAccess>]
module Target =

    let private form a b c : Form = { Start = a; Finish = b; Noise = c }

    /// The position x_t as a form.
    let internal position (numbers: Coefficients) : Form = form numbers.Alpha numbers.Beta numbers.Gamma

    // s e as a form.
    let private noise (gaussian: GaussianEnd) (numbers: Coefficients) : Form =
        match gaussian with
        | GaussianEnd.Neither -> form 0.0 0.0 numbers.Gamma
        | GaussianEnd.Start -> form numbers.Alpha 0.0 numbers.Gamma
        | GaussianEnd.Finish -> form 0.0 numbers.Beta numbers.Gamma

    let private norm (f: Form) = sqrt (f.Start * f.Start + f.Finish * f.Finish + f.Noise * f.Noise)
    let private scaled (factor: float) (f: Form) = form (factor * f.Start) (factor * f.Finish) (factor * f.Noise)

    /// The target as a form whose conditional mean it is.
    let internal formOf (interpolant: Interpolant) (time: float) (numbers: Coefficients) (target: Target) : Result<Form, TargetRefusal> =
        let finite (f: Form) =
            if System.Double.IsFinite(f.Start + f.Finish + f.Noise) then
                Ok f
            else
                Error(TargetRefusal.Singular(target, time))

        let velocity () = finite (form numbers.AlphaRate numbers.BetaRate numbers.GammaRate)

        let noisy power =
            let e = noise interpolant.Gaussian numbers
            let s = norm e
            if s > 0.0 then finite (scaled (power s) e) else Error(TargetRefusal.NoNoise(target, time))

        match target with
        | Target.Velocity -> velocity ()
        | Target.Score -> noisy (fun s -> -1.0 / (s * s))
        | Target.Denoiser -> noisy (fun s -> 1.0 / s)
        | Target.Start -> Ok(form 1.0 0.0 0.0)
        | Target.Endpoint -> Ok(form 0.0 1.0 0.0)
        | Target.ActionGradient when interpolant.Gaussian = GaussianEnd.Neither -> Error TargetRefusal.NotAGradient
        | Target.ActionGradient -> velocity ()

    /// All values, or the first refusal.
    let internal collect (results: Result<'value, TargetRefusal>[]) : Result<'value[], TargetRefusal> =
        let refusal =
            results
            |> Array.tryPick (function
                | Error refusal -> Some refusal
                | Ok _ -> None)

        match refusal with
        | Some refusal -> Error refusal
        | None -> Ok(results |> Array.choose Result.toOption)

    /// The forms of a target at each time, or the first refusal.
    let internal forms
        (interpolant: Interpolant)
        (times: float[])
        (numbers: Coefficients[])
        (target: Target)
        : Result<Form[], TargetRefusal> =
        Array.map2 (fun time at -> formOf interpolant time at target) times numbers |> collect

    /// The value or an ArgumentException that says why not.
    let internal orThrow (result: Result<'a, TargetRefusal>) : 'a =
        match result with
        | Ok value -> value
        | Error refusal -> invalidArg "target" (TargetRefusal.describe refusal)

    /// The values of linear forms of the pairs.
    let internal ofForms (forms: Form[]) (pairs: Pairs) : torch.Tensor =
        Path.combine pairs (forms |> Array.map _.Start) (forms |> Array.map _.Finish) (forms |> Array.map _.Noise)

    /// What a model of the target is regressed on: a sample of (x0, x1, z) whose conditional mean given x_t is the target, (B, ...). t is one number or (B).
    /// Throws an ArgumentException where the interpolant does not allow the target, or it is singular at one of the times.
    let regressand (interpolant: Interpolant) (target: Target) (t: torch.Tensor) (pairs: Pairs) : torch.Tensor =
        let struct (times, numbers) = Path.evaluate interpolant t pairs
        ofForms (forms interpolant times numbers target |> orThrow) pairs
